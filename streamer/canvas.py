"""Dots, lines and words on a grid of terminal cells: braille where the terminal can show it, ASCII where not."""

from __future__ import annotations

import math

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the eight dots of a braille character, by row and column (Unicode Standard, "Braille Patterns")."""
_BRAILLE_BLANK = 0x2800
_ASCII = {0b01: "'", 0b10: ".", 0b11: ":"}
"""Two dots above each other are all that ASCII can tell apart."""

_Cells = dict[tuple[int, int], tuple[str, Style]]


class Canvas:
    """A drawing of fixed size; a rich renderable.

    Three layers lie on top of each other: the ground (axes), dots, and words.

    Parameters
    ----------
    width, height : int
        In cells.
    unicode : bool
        Whether the terminal shows more than ASCII.

    Attributes
    ----------
    dots_across, dots_down : int
        Resolution of `dot` and `line`. With braille, dots are about as far apart in both directions.
    """

    def __init__(self, width: int, height: int, unicode: bool) -> None:
        self.width = width
        self.height = height
        self.unicode = unicode
        self._across, self._down = (2, 4) if unicode else (1, 2)
        self.dots_across = width * self._across
        self.dots_down = height * self._down
        self._ground: _Cells = {}
        self._dots: dict[tuple[int, int], tuple[int, Style]] = {}
        self._words: _Cells = {}

    def dot(self, x: float, y: float, style: Style) -> None:
        """Set the dot nearest to a place, counted in dots from the top left; nothing happens outside the canvas."""
        column, row = round(x), round(y)
        if not (0 <= column < self.dots_across and 0 <= row < self.dots_down):
            return
        cell = column // self._across, row // self._down
        inner_column, inner_row = column % self._across, row % self._down
        bit = _BRAILLE[inner_row][inner_column] if self.unicode else 1 << inner_row
        bits, _ = self._dots.get(cell, (0, style))
        self._dots[cell] = bits | bit, style

    def line(self, x0: float, y0: float, x1: float, y1: float, style: Style) -> None:
        """Set the dots from one place to another, both included."""
        steps = max(1, math.ceil(max(abs(x1 - x0), abs(y1 - y0))))
        for step in range(steps + 1):
            self.dot(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps, style)

    def cell_of(self, x: float, y: float) -> tuple[int, int]:
        """Return column and row of the cell that holds a dot, the nearest one for a dot outside."""
        column, row = round(x) // self._across, round(y) // self._down
        return min(max(column, 0), self.width - 1), min(max(row, 0), self.height - 1)

    def ground(self, column: int, row: int, text: str, style: Style) -> None:
        """Write characters that show where nothing else is."""
        self._put(self._ground, column, row, text, style)

    def write(self, column: int, row: int, text: str, style: Style) -> None:
        """Write characters on top of everything."""
        self._put(self._words, column, row, text, style)

    @staticmethod
    def _put(layer: _Cells, column: int, row: int, text: str, style: Style) -> None:
        for offset, character in enumerate(text):
            layer[column + offset, row] = character, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw, one line of segments per row."""
        for row in range(self.height):
            for column in range(min(self.width, options.max_width)):
                yield self._segment((column, row))
            yield Segment.line()

    def _segment(self, cell: tuple[int, int]) -> Segment:
        if cell in self._words:
            return Segment(*self._words[cell])
        if cell in self._dots:
            bits, style = self._dots[cell]
            return Segment(chr(_BRAILLE_BLANK + bits) if self.unicode else _ASCII[bits], style)
        return Segment(*self._ground.get(cell, (" ", Style.null())))
