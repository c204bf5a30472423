"""The exception types that the command line turns into one line and a non-zero exit status."""

from __future__ import annotations

import reprlib


class MoodringError(Exception):
    """Something the user can mend; the message names the input and the way out, in one line."""


class CheckpointError(MoodringError):
    """A file is not a model that this version can use."""


LONGEST_SHOWN = 60
"""Characters that are shown of a text that somebody else has chosen: enough to find it by."""


def shown(content: object, longest: int = LONGEST_SHOWN) -> str:
    """Return what an error says of content from a file or from the network: short, on one line, harmless to a terminal.

    Parameters
    ----------
    content : object
        Of text, what is printable is shown as it is; anything else as Python writes it, abridged.
    longest : int
        Characters.

    Returns
    -------
    str
        At most so many characters and an ellipsis.
    """
    if isinstance(content, str):
        text = content
    else:
        try:
            text = reprlib.repr(content)
        except ValueError:  # a whole number of more digits than Python writes out
            text = "a number of thousands of digits"
    line = "".join(character if character.isprintable() else " " for character in text[: longest + 1])
    return line if len(line) <= longest else f"{line[:longest]}…"
