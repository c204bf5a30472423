"""Times, shares and lists as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds between the marks of an axis of time."""
QUIETEST: Final = -100.0
"""dBFS below which a level is no level: 16 bits reach -96."""


def time_text(seconds: float) -> str:
    """Return a time as ``1:05`` or ``1:00:05``: m:ss, and h:mm:ss from an hour on."""
    minutes, rest = divmod(int(seconds + 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def length_text(seconds: float) -> str:
    """Return a length of time as ``5.5 seconds`` below a minute, and as `time_text` does from there on."""
    if seconds >= 60:
        return time_text(seconds)
    rounded = round(seconds, 1)
    return f"{rounded:g} {'second' if rounded == 1 else 'seconds'}"


def minus(text: str) -> str:
    """Return a number's text with a minus sign instead of a hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")


def decibels(level: float) -> str:
    """Return a level such as ``−14 dB``, or ``silent``."""
    return "silent" if level < QUIETEST else minus(f"{round(level) + 0} dB")


def percent(share: float) -> str:
    """Return a share such as ``62 %``; one that is not nothing, and below a half per cent, as ``< 1 %``."""
    text = "< 1%" if 0 < share < 0.005 else f"{share:.0%}"
    return text.replace("%", "\N{NO-BREAK SPACE}%")


def join(parts: Sequence[str], conjunction: str = "and") -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return f" {conjunction} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def time_marks(duration: float, most: int) -> list[float]:
    """Return round times for an axis.

    Parameters
    ----------
    duration : float
        Seconds that the axis is long.
    most : int
        Marks that there are at most, the one at 0 included; at least 2.

    Returns
    -------
    list of float
        From 0, ascending, in equal steps, up to `duration`.
    """
    step = next((step for step in _STEPS if duration / step <= most - 1), None)
    if step is None:
        step = _STEPS[-1] * -(-int(duration) // (_STEPS[-1] * (most - 1)))
    return [float(second) for second in range(0, int(duration) + 1, step)]


def printable(name: str) -> str:
    """Return a file's name as text: bytes that are no text are spelt out, and what does not print becomes spaces."""
    text = name.encode(errors="backslashreplace").decode()
    return "".join(character if character.isprintable() else " " for character in text)
