"""What an output shows: a source of the stream, and the shape that makes a value for the receiver of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

from streamer.bridges.glide import Numbers
from streamer.bridges.palettes import Colour, Palette
from streamer.messages import Estimate, EstimateState, Status, StreamState, to_json

Reading = float | str | tuple[float, float] | None
Value = Numbers | str
"""What is sent: one number, the parts of a colour, or a text."""
Range = tuple[float, float]


@dataclass(frozen=True)
class NumberSource:
    """A number of an estimate.

    Attributes
    ----------
    read : callable
        Gives it, or None where there is none.
    range : tuple of float
        What it runs from and to, if the mapping does not say so.
    """

    read: Callable[[Estimate], float | None]
    range: Range


NUMBERS: Final = {
    "valence": NumberSource(lambda estimate: estimate.valence, (-1.0, 1.0)),
    "arousal": NumberSource(lambda estimate: estimate.arousal, (-1.0, 1.0)),
    "valence_std": NumberSource(lambda estimate: estimate.valence_std, (0.0, 1.0)),
    "arousal_std": NumberSource(lambda estimate: estimate.arousal_std, (0.0, 1.0)),
    "mood.valence": NumberSource(lambda estimate: estimate.mood.valence, (-1.0, 1.0)),
    "mood.arousal": NumberSource(lambda estimate: estimate.mood.arousal, (-1.0, 1.0)),
    "loudness": NumberSource(lambda estimate: estimate.loudness, (-70.0, 0.0)),
}
POINTS: Final = ("emotion", "mood")
"""Sources of colours: valence and arousal now, and over the last minute."""
STATES: Final = {"state": get_args(EstimateState), "status": get_args(StreamState)}
TEXTS: Final = ("stream", "estimate")
"""The stream's name, and the whole estimate as JSON."""


def read(source: str, estimate: Estimate | None, status: Status | None) -> Reading:
    """Read a source.

    Parameters
    ----------
    source : str
        One of `NUMBERS`, `POINTS`, `STATES` or `TEXTS`.
    estimate, status : Estimate and Status, or None
        The newest.

    Returns
    -------
    float, str, tuple of float, or None
        None where there is nothing to be shown.
    """
    if source == "status":
        return None if status is None else status.state
    if estimate is None:
        return None
    if source in NUMBERS:
        return NUMBERS[source].read(estimate)
    if source in POINTS:
        point = estimate if source == "emotion" else estimate.mood
        return None if point.valence is None or point.arousal is None else (point.valence, point.arousal)
    return {"state": estimate.state, "stream": estimate.stream}.get(source) or to_json(estimate)


@dataclass(frozen=True)
class Scale:
    """A curve from 0 … 1 to a range.

    Attributes
    ----------
    to : tuple of float
        What 0 and 1 become; the first may be the larger.
    gamma : float
        The exponent; 1 is linear.
    """

    to: Range
    gamma: float = 1.0

    def at(self, share: float) -> float:
        """Return what a share in [0, 1] becomes."""
        low, high = self.to
        return low + (high - low) * float(share**self.gamma)


@dataclass(frozen=True)
class Level:
    """A number of one range as a number of another; beyond the ends it stays at them.

    Attributes
    ----------
    from_range : tuple of float
        Lowest and highest value of the source.
    scale : Scale
        What they become.
    """

    from_range: Range
    scale: Scale
    parts = 1

    def value(self, reading: Reading, before: Value | None) -> Value:
        """Return what is to be sent."""
        assert isinstance(reading, float)
        low, high = self.from_range
        return (self.scale.at(min(1.0, max(0.0, (reading - low) / (high - low)))),)


@dataclass(frozen=True)
class Switch:
    """A number that turns something on and off.

    Attributes
    ----------
    on, off : float
        On from here upwards, off below here; between them as it was.
    to : tuple of float
        What off and on are.
    """

    on: float
    off: float
    to: Range
    parts = 1

    def value(self, reading: Reading, before: Value | None) -> Value:
        """Return what is to be sent."""
        assert isinstance(reading, float)
        is_on = reading >= self.on or (reading >= self.off and before == (self.to[1],))
        return (self.to[is_on],)


@dataclass(frozen=True)
class Tint:
    """A point of the plane as a colour.

    Attributes
    ----------
    palette : Palette
        Which.
    layout : str
        What the receiver's parts are, in order: r, g, b, w (white) and d (dimmer), each once at most. With w, what the
        three have in common is white; with d, the brightness is there and not in the others.
    scale : Scale
        What a part of 0 … 1 becomes.
    """

    palette: Palette
    layout: str
    scale: Scale

    @property
    def parts(self) -> int:
        """How many numbers the value has."""
        return len(self.layout)

    def value(self, reading: Reading, before: Value | None) -> Value:
        """Return what is to be sent."""
        assert isinstance(reading, tuple)
        return self.of(self.palette.colour(*reading))

    def of(self, colour: Colour) -> Numbers:
        """Return a colour as this output sends it."""
        brightness = max(colour)
        if "d" in self.layout and brightness > 0:
            red, green, blue = (part / brightness for part in colour)
            colour = red, green, blue
        white = min(colour) if "w" in self.layout else 0.0
        parts = dict(zip("rgb", (part - white for part in colour), strict=True)) | {"w": white, "d": brightness}
        return tuple(self.scale.at(parts[letter]) for letter in self.layout)


@dataclass(frozen=True)
class Lookup:
    """A state as a number.

    Attributes
    ----------
    values : dict of str to float
        For each state that changes the output; others leave it as it is.
    """

    values: dict[str, float]
    parts = 1

    def value(self, reading: Reading, before: Value | None) -> Value | None:
        """Return what is to be sent; None for what was."""
        return (self.values[reading],) if isinstance(reading, str) and reading in self.values else None


@dataclass(frozen=True)
class Words:
    """A text as it is."""

    parts = 0

    def value(self, reading: Reading, before: Value | None) -> Value:
        """Return what is to be sent."""
        assert isinstance(reading, str)
        return reading


Shape = Level | Switch | Tint | Lookup | Words
