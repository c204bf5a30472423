"""The live view in a terminal: a stream's mood on the valence-arousal plane, its last minute, and how it is doing."""

from __future__ import annotations

import threading
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from streamer import panels
from streamer.circumplex import mood_word
from streamer.last_minute import LastMinute
from streamer.messages import Estimate, Status
from streamer.plane import QUIET, VALENCE_STYLE

MAXIMUM_STREAMS: Final = 64
_LARGEST_WIDTH, _LARGEST_HEIGHT = 140, 40
_SIDEBAR_WIDTH = 37
_GAP = 2
_SMALLEST_WIDE = (72, 13)
"""Width and rows from which on the traces stand beside the plane."""
_CELLS_PER_ROW = 2.4
"""Columns of the plane per row: cells are about twice as high as wide, and words need some room."""


def plain_line(estimate: Estimate) -> str:
    """Describe an estimate in one line, for output that is not a terminal.

    Parameters
    ----------
    estimate : Estimate

    Returns
    -------
    str
        Such as ``0:10.5  tracking  valence +0.31  arousal -0.20  content  -23 dBFS``; without valence and arousal in
        silence.
    """
    parts = [panels.clock(estimate.position), f"{estimate.state:8}"]
    if estimate.valence is not None and estimate.arousal is not None:
        parts += [f"valence {panels.signed(estimate.valence)}", f"arousal {panels.signed(estimate.arousal)}"]
        parts += [mood_word(estimate.valence, estimate.arousal)]
    return "  ".join([*parts, f"{estimate.loudness:.0f} dBFS"])


class LiveView:
    """A rich renderable that shows one stream at large and the others in a table.

    It fills the console but for one line, up to 140 × 40 cells; where the console's encoding is not UTF, it does so
    in ASCII. Messages may come in one thread while another one draws.

    Parameters
    ----------
    endpoint : str
        Where the messages come from or go to; shown as it is.
    title : str
        The heading.
    window_seconds : float, optional
        How long the model warms up, if known.
    """

    def __init__(self, endpoint: str, title: str = "moodring", window_seconds: float | None = None) -> None:
        self._endpoint = endpoint
        self._title = title
        self._window_seconds = window_seconds
        self._notice: str | None = None
        self._selected: str | None = None
        self._chosen: str | None = None
        self._streams: dict[str, LastMinute] = {}  # the most recently updated one last
        self._lock = threading.Lock()

    def show(self, message: Estimate | Status) -> None:
        """Take the next message.

        The last minute of each stream is kept, of up to `MAXIMUM_STREAMS` streams; when there are more, the one that
        has said nothing for longest is forgotten. A stream that starts again loses its trail.

        Parameters
        ----------
        message : Estimate or Status
            Of any stream.
        """
        with self._lock:
            stream = self._streams.pop(message.stream, None) or LastMinute(message.stream)
            self._streams[message.stream] = stream
            if isinstance(message, Estimate):
                stream.add(message)
            else:
                stream.status = message
            if len(self._streams) > MAXIMUM_STREAMS:
                del self._streams[next(iter(self._streams))]
            self._choose()

    def notice(self, text: str | None) -> None:
        """Show a line about the connection, or take it away with None."""
        with self._lock:
            self._notice = text

    def select(self, stream: str | None) -> None:
        """Show this stream at large once it is heard of; with None, one that is live, for as long as it is."""
        with self._lock:
            self._selected = stream

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is known now."""
        unicode = not (options.ascii_only or options.legacy_windows)
        width = min(options.max_width, _LARGEST_WIDTH)
        height = min(options.height or options.max_height - 1, _LARGEST_HEIGHT)
        with self._lock:
            stream = self._choose()
            header = self._header(stream, width, unicode)
            footer = self._footer(stream, width, unicode)
            others = [self._streams[name] for name in sorted(self._streams) if self._streams[name] is not stream]
            table, table_rows = panels.table(others, height // 4, width)
            rows = height - 1 - len(footer) - table_rows
            arrange = _beside if width >= _SMALLEST_WIDE[0] and rows >= _SMALLEST_WIDE[1] else _stacked
            yield Group(header, arrange(stream, width, rows, unicode), *footer, table)

    def _choose(self) -> LastMinute | None:
        if self._selected in self._streams:
            return self._streams[self._selected]
        streams = list(self._streams.values())
        now = max((stream.newest.time for stream in streams if stream.newest), default=0.0)
        candidates = [stream for stream in streams if stream.is_live(now)] or streams
        if self._chosen not in [stream.name for stream in candidates]:
            self._chosen = candidates[-1].name if candidates else None
        return None if self._chosen is None else self._streams[self._chosen]

    def _header(self, stream: LastMinute | None, width: int, unicode: bool) -> RenderableType:
        left = Text(" ").append(panels.printable(self._title, unicode), panels.BOLD)
        right = [panels.printable(self._endpoint, unicode)]
        if stream is not None:
            left.append(f"  {stream.name}", VALENCE_STYLE)
            if stream.newest is not None:
                left.append(f"  {panels.clock(stream.newest.position)}")
                right.insert(0, panels.printable(stream.newest.model, unicode))
        while right and left.cell_len + len("  ".join(right)) + 3 > width:
            right.pop(0)
        return panels.sides(left, Text("  ".join(right) + " ", QUIET), width)

    def _footer(self, stream: LastMinute | None, width: int, unicode: bool) -> list[RenderableType]:
        lines: list[RenderableType] = []
        if stream is not None and stream.newest is not None:
            doing = Text(" ").append_text(panels.state(stream, self._window_seconds))
            lines.append(panels.sides(doing, panels.level(stream.newest.loudness, min(30, width // 4)), width))
        if stream is not None and stream.status is not None:
            trouble = panels.trouble(stream.status, unicode)
            lines += [trouble] if trouble is not None else []
        if self._notice is not None:
            lines.append(panels.one_line(Text(f" {panels.printable(self._notice, unicode)} ", panels.WARNING)))
        return lines


def _beside(stream: LastMinute | None, width: int, rows: int, unicode: bool) -> RenderableType:
    plane_rows = _odd(rows)
    plane_columns = _odd(min(round(_CELLS_PER_ROW * plane_rows), width - _SIDEBAR_WIDTH - _GAP))
    columns = width - plane_columns - _GAP
    newest = stream.newest if stream else None
    word_rows = 3 if plane_rows >= 15 else 1
    trace_rows = (plane_rows - word_rows - 2) // 2
    layout = Table.grid(padding=(0, _GAP, 0, 0))
    layout.add_column(width=plane_columns)
    layout.add_column(width=columns)
    layout.add_row(
        panels.plane(stream, plane_columns, plane_rows, unicode),
        Group(
            panels.word(newest, word_rows),
            panels.slow_mood(newest, unicode),
            panels.trace("valence", stream, columns, trace_rows, unicode),
            panels.trace("arousal", stream, columns, trace_rows, unicode),
            panels.time_axis(columns),
        ),
    )
    return layout


def _stacked(stream: LastMinute | None, width: int, rows: int, unicode: bool) -> RenderableType:
    newest = stream.newest if stream else None
    numbers = Text("  ").join(panels.number(name, newest, unicode) for name in ("valence", "arousal"))
    parts = [panels.word(newest, 1), panels.one_line(numbers)]
    if rows >= len(parts) + 5:
        parts.append(panels.plane(stream, _odd(width), _odd(rows - len(parts)), unicode))
    return Group(*parts[: max(rows, 1)])


def _odd(size: int) -> int:
    """Return the size or one less: only an odd number of cells has one in the middle, for the axis."""
    return size - 1 + size % 2
