"""The one exception type that the command line turns into one line and a non-zero exit status."""

from __future__ import annotations


class MoodringError(Exception):
    """Something the user can mend; the message names the input and the way out, in one line."""


LONGEST_SHOWN = 60
"""Characters that are shown of a text that somebody else has chosen: enough to find it by."""


def shown(content: object, longest: int = LONGEST_SHOWN) -> str:
    """Return what an error says of content from a file or from the network: short, on one line, harmless to a terminal.

    Parameters
    ----------
    content : object
        Of text, what is printable is shown as it is; of anything else, small numbers are, or the kind.
    longest : int
        Characters.

    Returns
    -------
    str
        At most so many characters and an ellipsis.
    """
    if isinstance(content, str):
        text = content
    elif isinstance(content, (bool, float, type(None))) or (isinstance(content, int) and abs(content) < 10**18):
        text = repr(content)
    else:
        # writing out what is nested deeply or has millions of digits may fail, or take for ever
        text = f"a {type(content).__name__}"
    line = "".join(character if character.isprintable() else " " for character in text[: longest + 1])
    return line if len(line) <= longest else f"{line[:longest]}…"
