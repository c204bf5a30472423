"""A file's whole session as one self-contained page, or as a picture."""
