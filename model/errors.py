"""The one exception type that the command line turns into one line and a non-zero exit status."""

from __future__ import annotations


class MoodringError(Exception):
    """Something the user can mend; the message names the input and the way out, in one line."""
