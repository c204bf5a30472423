"""A mapping: what goes where, and what is shown while nothing comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from streamer.bridges.destinations import Destination
from streamer.bridges.signals import Shape, Value

SceneName = Literal["silent", "dead", "end"]
SCENES: Final = get_args(SceneName)
DEAD_AFTER: Final = 3.0
"""Seconds without any message after which the tracker is dead, as PROTOCOL.md has it."""
LONGEST_END: Final = 1.0
"""Seconds that the last scene may take: whoever has pressed Ctrl-C waits for it."""


@dataclass(frozen=True)
class Output:
    """One thing that is sent.

    Attributes
    ----------
    name : str
        What the mapping calls it.
    source : str
        What it shows.
    shape : Level, Switch, Tint, Lookup or Words
        What it makes of that.
    destination : Destination
        Where it goes.
    attack, release : float
        Seconds in which it goes two thirds of the way to a higher and to a lower value.
    """

    name: str
    source: str
    shape: Shape
    destination: Destination
    attack: float
    release: float


@dataclass(frozen=True)
class Scene:
    """What is shown while there is nothing else to be shown.

    Attributes
    ----------
    fade : float
        Seconds until it is there.
    values : dict of str to Value
        By the output's name. Outputs that are not in it keep their values, or follow what their source still says.
    """

    fade: float
    values: dict[str, Value]


@dataclass(frozen=True)
class Mapping:
    """A valid mapping.

    Attributes
    ----------
    file : str
        Where it comes from, for people.
    stream : str or None
        The stream to follow; None for the first that is heard.
    rate : float
        Updates a second between estimates; 0 for none.
    outputs : tuple of Output
        What is sent.
    scenes : dict of SceneName to Scene
        ``silent``: no music, or no audio; ``dead``: no tracker; ``end``: the bridge itself ends.
    """

    file: str
    stream: str | None
    rate: float
    outputs: tuple[Output, ...]
    scenes: dict[SceneName, Scene]
