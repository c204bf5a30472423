"""What a receiver of single values is to be sent: everything on a new estimate, only what has changed in between."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.bridges.destinations import Name
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value

DECIMALS = 4
"""Of numbers that are sent, as many as estimates have: smaller changes are none."""


class Changes:
    """Remembers what was sent last."""

    def __init__(self) -> None:
        self._names: dict[str, Name] = {}
        self._sent: dict[str, Value] = {}

    def set_up(self, mapping: Mapping) -> None:
        """Take the names of a mapping; everything counts as changed."""
        self._names = {o.name: o.destination for o in mapping.outputs if isinstance(o.destination, Name)}
        self._sent = {}

    def forget(self) -> None:
        """Let everything count as changed: the receiver is a new one."""
        self._sent = {}

    def of(self, values: dict[str, Value], everything: bool) -> Iterator[tuple[Name, Value]]:
        """Give what is to be sent.

        Parameters
        ----------
        values : dict of str to Value
            By the output's name.
        everything : bool
            Whether to give what has not changed as well.

        Yields
        ------
        Name and Value
            Numbers are rounded.
        """
        for output, value in values.items():
            rounded = value if isinstance(value, str) else tuple(round(part, DECIMALS) for part in value)
            if everything or self._sent.get(output) != rounded:
                self._sent[output] = rounded
                yield self._names[output], rounded
