"""The parts of the live view, each a rich renderable of known height.

Conventions
-----------
columns, rows, width
    sizes in terminal cells.
unicode
    whether the terminal shows more than ASCII.
stream, estimate
    None as long as there is none: every part can be drawn from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from streamer.canvas import Canvas
from streamer.circumplex import mood_word, octant_at
from streamer.last_minute import LastMinute
from streamer.messages import Estimate, Status
from streamer.plane import (
    AROUSAL_STYLE,
    HISTORY_SECONDS,
    QUIET,
    VALENCE_STYLE,
    draw_plane,
    draw_trace,
    mood_colour,
)

Dimension = Literal["valence", "arousal"]

BOLD = Style(bold=True)
WARNING = Style(color="#ffffff", bgcolor="#b03a00", bold=True)
_GREEN = Style(color="#2e8b57")
_RED = Style(color="#d7263d")
_STATES = {"tracking": _GREEN + BOLD, "warming": Style(color="#a87400", bold=True), "silence": QUIET + BOLD}
_DIMENSIONS = {"valence": VALENCE_STYLE + BOLD, "arousal": AROUSAL_STYLE + BOLD}
_HARMLESS = ("starting", "ended")
_ROOMY_TABLE = 60
"""Width from which on the table has columns of numbers."""
_QUIETEST_DBFS = -60.0
"""Left end of the loudness bar."""


def clock(seconds: float) -> str:
    """Return a position as ``0:10.5`` or ``1:00:10.5``."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{tenths // 10:02}.{tenths % 10}"


def signed(value: float) -> str:
    """Return a number in [-1, 1] as ``+0.31``."""
    return f"{round(value, 2) + 0.0:+.2f}"  # the sum turns -0.0 into 0.0


def printable(text: str, unicode: bool) -> str:
    """Return text from elsewhere without what would steer or confuse the terminal."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if unicode else shown.encode("ascii", "replace").decode()


def one_line(text: Text) -> Text:
    """Return text that is cut, not wrapped, where it is too long."""
    text.no_wrap, text.overflow = True, "crop"
    return text


def sides(left: RenderableType, right: RenderableType, width: int) -> RenderableType:
    """Return a line with something at its left and at its right end."""
    line = Table.grid()
    line.width = width
    line.add_column(no_wrap=True, overflow="crop", ratio=1)
    line.add_column(no_wrap=True, overflow="crop")
    line.add_row(left, right)
    return line


def plane(stream: LastMinute | None, columns: int, rows: int, unicode: bool) -> RenderableType:
    """Return the valence-arousal plane in a frame; the frame takes two of the columns and rows."""
    canvas = Canvas(columns - 2, rows - 2, unicode)
    mood = stream.newest.mood if stream and stream.newest else None
    slow = None if mood is None or mood.valence is None or mood.arousal is None else (mood.valence, mood.arousal)
    draw_plane(canvas, stream.points if stream else [], slow)
    up, right = ("arousal ↑", "valence →") if unicode else ("arousal ^", "valence >")
    return Panel(
        canvas,
        box=ROUNDED,
        padding=0,
        width=columns,
        border_style=QUIET,
        title=Text(up, QUIET),
        subtitle=Text(right, QUIET),
        subtitle_align="right",
    )


def trace(dimension: Dimension, stream: LastMinute | None, columns: int, rows: int, unicode: bool) -> RenderableType:
    """Return one dimension of the last minute over time, a line with its name and value above it."""
    canvas = Canvas(columns, rows - 1, unicode)
    if stream is not None:
        draw_trace(canvas, [(point.age, getattr(point, dimension)) for point in stream.points], _DIMENSIONS[dimension])
    return Group(one_line(number(dimension, stream.newest if stream else None, unicode)), canvas)


def time_axis(columns: int) -> RenderableType:
    """Return the line below the traces."""
    return sides(Text(f"-{HISTORY_SECONDS:g} s", QUIET), Text("now", QUIET), columns)


def number(dimension: Dimension, estimate: Estimate | None, unicode: bool) -> Text:
    """Return the name of a dimension and its value now."""
    text = Text.assemble((dimension, _DIMENSIONS[dimension]), " ")
    value = getattr(estimate, dimension, None)
    deviation = getattr(estimate, f"{dimension}_std", None)
    text.append("--" if value is None else signed(value), BOLD)
    if deviation is not None:
        text.append(f" {'±' if unicode else '+-'}{deviation:.2f}", QUIET)
    return text


def word(estimate: Estimate | None, rows: int) -> RenderableType:
    """Return the mood's word, large, on its colour; an odd number of rows high."""
    octant = None
    if estimate is None:
        shown = "waiting"
    elif estimate.valence is None or estimate.arousal is None:
        shown = "silence" if estimate.state == "silence" else "listening"
    else:
        shown = mood_word(estimate.valence, estimate.arousal)
        octant = octant_at(estimate.valence, estimate.arousal)
    spaced = Text(" ".join(shown.upper()), justify="center")
    return Padding(
        one_line(spaced), (rows // 2, 0), style=Style(color="#ffffff", bgcolor=mood_colour(octant), bold=True)
    )


def slow_mood(estimate: Estimate | None, unicode: bool) -> RenderableType:
    """Return a line about the mood of the last minute."""
    text = Text("last minute ", QUIET)
    if estimate is None or estimate.mood.valence is None or estimate.mood.arousal is None:
        return one_line(text.append("--"))
    valence, arousal = estimate.mood.valence, estimate.mood.arousal
    style = Style(color=mood_colour(octant_at(valence, arousal)), bold=True)
    text.append(f"{'○' if unicode else 'o'} {mood_word(valence, arousal)}", style)
    return one_line(text.append(f"  {signed(valence)} {signed(arousal)}"))


def state(stream: LastMinute, window_seconds: float | None) -> Text:
    """Return what the tracker is doing, and how far it has warmed up."""
    newest = stream.newest
    if newest is None:
        return Text("no estimate yet", QUIET)
    text = Text(newest.state, _STATES[newest.state])
    if newest.state == "warming":
        warmed = stream.warmed if window_seconds is None else min(stream.warmed, window_seconds)
        text.append(f" {warmed:.1f} s" + (f" of {window_seconds:g} s" if window_seconds else ""))
    if newest.lag:
        text.append(f"  lag {newest.lag:g} s", QUIET)
    return text


def level(loudness: float, columns: int) -> RenderableType:
    """Return a bar of the loudness in dBFS."""
    bar = ProgressBar(
        total=-_QUIETEST_DBFS,
        completed=max(0.0, loudness - _QUIETEST_DBFS),
        width=columns,
        style=QUIET,
        complete_style=_GREEN,
        finished_style=_RED,
    )
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_row(bar, f"{loudness:4.0f} dBFS")
    return line


def trouble(status: Status, unicode: bool) -> Text | None:
    """Return a line about how a stream is doing; None if there is nothing to say."""
    words = []
    if status.state != "running" or status.reason:
        words.append(f"{status.state}: {printable(status.reason, unicode)}" if status.reason else status.state)
    if status.dropped:
        words.append(f"{status.dropped:.1f} s of audio dropped")
    if status.invalid:
        words.append(f"{status.invalid} invalid samples")
    harmless = status.state in _HARMLESS and not status.dropped and not status.invalid
    return one_line(Text(f" {', '.join(words)} ", QUIET if harmless else WARNING)) if words else None


def table(streams: Sequence[LastMinute], rows: int, width: int) -> tuple[RenderableType, int]:
    """Return a table of streams, with a line at its end that counts those that do not fit, and its height in rows."""
    if not streams:
        return Group(), 0
    if rows < min(3, len(streams) + 1):
        return one_line(Text(f" and {len(streams)} more", QUIET)), 1
    layout = Table(box=None, padding=(0, 1), header_style=QUIET, width=width)
    layout.add_column("stream", no_wrap=True, overflow="crop", ratio=1)
    roomy = width >= _ROOMY_TABLE
    for heading in ("position", "valence", "arousal") if roomy else ():
        layout.add_column(heading, no_wrap=True, overflow="crop", justify="right")
    layout.add_column("mood", no_wrap=True, overflow="crop", width=10)
    layout.add_column("state", no_wrap=True, overflow="crop", width=8)
    fitting = len(streams) if len(streams) < rows else rows - 2
    for stream in streams[:fitting]:
        layout.add_row(stream.name, *(_numbers(stream.newest) if roomy else ()), *_words(stream))
    if fitting < len(streams):
        layout.add_row(Text(f"and {len(streams) - fitting} more", QUIET))
    return layout, min(len(streams) + 1, rows)


def _numbers(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "", "", ""
    if estimate.valence is None or estimate.arousal is None:
        return clock(estimate.position), "--", "--"
    return clock(estimate.position), signed(estimate.valence), signed(estimate.arousal)


def _words(stream: LastMinute) -> tuple[Text, Text]:
    newest, status = stream.newest, stream.status
    mood = doing = Text("")
    if newest is not None:
        doing = Text(newest.state, _STATES[newest.state])
        if newest.valence is not None and newest.arousal is not None:
            style = Style(color=mood_colour(octant_at(newest.valence, newest.arousal)))
            mood = Text(mood_word(newest.valence, newest.arousal), style)
    if status is not None and status.state != "running":
        doing = Text(status.state, QUIET if status.state in _HARMLESS else WARNING)
    return mood, doing
