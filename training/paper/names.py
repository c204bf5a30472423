"""What systems, features and tables are called: everywhere, so also in the command line, which loads nothing else."""

SYSTEMS = ("crnn", "crnn-nb", "dblstm-fusion", "ensemble")
FEATURES = ("logmel", "opensmile")
TABLES = ("1a", "1b", "2", "all")
SEQUENCE_LENGTHS = (60, 30, 20, 10)
"""Those that the paper compares, in frames of 500 ms, in the order of its tables."""
