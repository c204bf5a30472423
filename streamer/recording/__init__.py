"""Recordings of streams, what was heard and what was published in one place, and their replay."""
