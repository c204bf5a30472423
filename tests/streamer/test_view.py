import io
import math
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color
from rich.console import Console

from streamer.canvas import Canvas
from streamer.circumplex import OCTANTS
from streamer.composer import SECTIONS
from streamer.last_minute import MAXIMUM_ESTIMATES, LastMinute
from streamer.messages import Estimate, Mood, Status, StreamState
from streamer.plane import AROUSAL_STYLE, QUIET, VALENCE_STYLE, Point, draw_plane, draw_trace, mood_colour
from streamer.view import MAXIMUM_STREAMS, LiveView, plain_line

ENDPOINT = "tcp://127.0.0.1:5588"
TRACKING = Estimate(
    "room", 20, 1e9, 10.5, 0.31, -0.20, None, None, Mood(0.5, 0.5), "tracking", -23.4, 0.0, "test-model"
)
SILENCE = replace(TRACKING, valence=None, arousal=None, state="silence", loudness=-200.0)


def minute(stream: str = "room") -> list[Estimate]:
    """A round trip through the plane, with 5 s of silence in the middle."""
    walk = []
    for index in range(120):
        angle = 2 * math.pi * index / 120
        sounding = replace(TRACKING, valence=0.6 * math.cos(angle), arousal=0.6 * math.sin(angle))
        estimate = SILENCE if 60 <= index < 70 else sounding
        position = (index + 1) / 2
        walk.append(replace(estimate, stream=stream, sequence=index, position=position, time=1e9 + position))
    return walk


def status(state: StreamState, reason: str = "", dropped: float = 0.0, stream: str = "room") -> Status:
    return Status(stream, 0, 1e9, state, dropped, reason)


def drawn(view: LiveView, width: int = 80, height: int = 24, encoding: str = "utf-8", **options: bool) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, **options)  # type: ignore[arg-type]
    console.print(view)
    file.seek(0)
    return file.read()


def view_of(*messages: Estimate | Status, window_seconds: float | None = None) -> LiveView:
    view = LiveView(ENDPOINT, window_seconds=window_seconds)
    for message in messages:
        view.show(message)
    return view


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "0:10.5  tracking  valence +0.31  arousal -0.20  content  -23 dBFS"),
        ({"valence": -0.001}, "0:10.5  tracking  valence +0.00  arousal -0.20  subdued  -23 dBFS"),
        ({"position": 59.96}, "1:00.0  tracking  valence +0.31  arousal -0.20  content  -23 dBFS"),
        ({"position": 3610.0}, "1:00:10.0  tracking  valence +0.31  arousal -0.20  content  -23 dBFS"),
        ({"valence": None, "arousal": None, "state": "silence"}, "0:10.5  silence   -23 dBFS"),
    ],
)
def test_plain_line(changes: dict[str, Any], line: str) -> None:
    assert plain_line(replace(TRACKING, **changes)) == line


def test_shows_the_mood_the_numbers_and_where_they_come_from() -> None:
    shown = drawn(view_of(*minute()[:-1], replace(TRACKING, sequence=119, position=60.0)))
    for expected in ("moodring", "room", "1:00.0", "test-model", ENDPOINT, "C O N T E N T", "+0.31", "-0.20"):
        assert expected in shown
    for expected in ("tracking", "-23 dBFS", "last minute ○ excited", "angry", "sleepy", "●"):
        assert expected in shown


def test_waits_before_the_first_message() -> None:
    shown = drawn(view_of())
    assert "W A I T I N G" in shown
    assert ENDPOINT in shown
    assert "W A I T I N G" in drawn(view_of(status("starting")))


def test_silence_has_no_numbers_and_no_mark() -> None:
    shown = drawn(view_of(*minute()[:70]))
    assert "S I L E N C E" in shown
    assert "valence --" in shown
    assert "●" not in shown


def test_warming_counts_from_where_the_music_began() -> None:
    warming = [replace(estimate, state="warming") for estimate in minute()[:7]]
    assert "warming 3.5 s of 10 s" in drawn(view_of(*warming, window_seconds=10.0))
    assert "warming 3.5 s " in drawn(view_of(*warming))
    again = [replace(SILENCE, sequence=index, position=30 + index / 2) for index in range(10)]
    again += [replace(TRACKING, state="warming", sequence=index, position=30 + index / 2) for index in range(10, 14)]
    assert "warming 2.0 s of 10 s" in drawn(view_of(*again, window_seconds=10.0))


@pytest.mark.parametrize("state", ["stalled", "failed"])
def test_trouble_is_shown_with_its_reason(state: StreamState) -> None:
    assert f"{state}: unplugged, 2.5 s of audio dropped" in drawn(view_of(TRACKING, status(state, "unplugged", 2.5)))


def test_a_running_stream_needs_no_words() -> None:
    assert "running" not in drawn(view_of(TRACKING, status("running")))


def test_notices_come_and_go() -> None:
    view = view_of(TRACKING)
    view.notice("no publisher for 5 s")
    assert "no publisher for 5 s" in drawn(view)
    view.notice(None)
    assert "no publisher" not in drawn(view)


def test_other_streams_stand_in_a_table() -> None:
    view = view_of(
        TRACKING, replace(TRACKING, stream="hall", valence=-0.6, arousal=0.6), status("failed", stream="bar")
    )
    shown = drawn(view)
    assert re.search(r"hall +0:10\.5 +-0\.60 +\+0\.60 +angry +tracking", shown)
    assert re.search(r"bar .* failed", shown)
    assert "C O N T E N T" in shown


def test_a_table_too_long_says_how_many_more() -> None:
    view = view_of(*(replace(TRACKING, stream=f"mic{index}") for index in range(30)))
    shown = drawn(view)
    assert shown.count("0:10.5") - 1 + int(re.findall(r"and (\d+) more", shown)[0]) == 29


def test_the_stream_at_large_stays_until_it_falls_behind_or_ends() -> None:
    view = view_of(TRACKING)
    for estimate in minute("hall")[:5]:
        view.show(estimate)
        assert "moodring  room" in drawn(view)
    view.show(replace(TRACKING, stream="hall", sequence=6, position=20.0, time=1e9 + 60))
    assert "moodring  hall" in drawn(view)
    view.show(replace(TRACKING, sequence=21, position=70.0, time=1e9 + 60))
    assert "moodring  hall" in drawn(view)
    view.show(status("ended", stream="hall"))
    assert "moodring  room" in drawn(view)
    view.select("hall")
    assert "moodring  hall" in drawn(view)
    view.select(None)
    assert "moodring  room" in drawn(view)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 35), (200, 60), (60, 20), (40, 12), (72, 14), (20, 5)])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("streams", [0, 1, 3, 70])
def test_fits_every_size(width: int, height: int, encoding: str, streams: int) -> None:
    view = LiveView(ENDPOINT, window_seconds=10.0)
    for index in range(streams):
        for estimate in minute(f"mic{index}")[:20]:
            view.show(estimate)
    if streams:
        view.show(status("stalled", "no sound from “Größe” \x1b[2J", 3.0, "mic0"))
    view.notice("connection lost\nagain")
    shown = drawn(view, width, height, encoding)
    lines = shown.splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) < height or height < 12
    assert "\x1b" not in shown
    if encoding != "utf-8":
        assert shown.isascii()


def test_legacy_windows_consoles_get_no_braille() -> None:
    shown = drawn(view_of(*minute()), legacy_windows=True)
    assert "@" in shown
    assert not re.search(r"[\u2800-\u28ff●○]", shown)


def test_a_redelivered_estimate_changes_nothing_and_a_restart_clears_the_trail() -> None:
    stream = LastMinute("room")
    estimates = minute()
    for estimate in estimates[:20]:
        stream.add(estimate)
    stream.add(estimates[19])
    assert len(stream.points) == 20
    stream.add(replace(estimates[0], time=2e9))
    assert stream.points == [Point(0.0, estimates[0].valence, estimates[0].arousal)]
    stream.add(replace(estimates[3], position=0.25))
    assert len(stream.points) == 1


def test_memory_is_bounded() -> None:
    stream = LastMinute("room")
    for index in range(5000):
        stream.add(replace(TRACKING, sequence=index, position=index / 2))
    assert len(stream.estimates) == 121
    for index in range(5000):
        stream.add(replace(TRACKING, sequence=5000 + index, position=2500 + index / 1000))
    assert len(stream.estimates) <= MAXIMUM_ESTIMATES
    view = view_of(*(replace(TRACKING, stream=f"mic{index}") for index in range(MAXIMUM_STREAMS + 10)))
    shown = drawn(view, 140, 40)
    assert shown.count("0:10.5") - 1 + int(re.findall(r"and (\d+) more", shown)[0]) == MAXIMUM_STREAMS - 1


def cells(canvas: Canvas) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=canvas.width).print(canvas, end="")
    return file.getvalue().splitlines()


@pytest.mark.parametrize("unicode", [True, False])
@given(valence=st.floats(-1, 1), arousal=st.floats(-1, 1))
def test_valence_goes_rightwards_and_arousal_upwards(unicode: bool, valence: float, arousal: float) -> None:
    canvas = Canvas(31, 15, unicode)
    draw_plane(canvas, [Point(0.0, valence, arousal)], None)
    rows = cells(canvas)
    row = next(index for index, line in enumerate(rows) if ("●" if unicode else "@") in line)
    column = rows[row].index("●" if unicode else "@")
    assert column / 15 - 1 == pytest.approx(valence, abs=0.1)
    assert 1 - row / 7 == pytest.approx(arousal, abs=0.2)


@pytest.mark.parametrize("unicode", [True, False])
def test_a_trace_is_a_line_without_holes_but_for_silence(unicode: bool) -> None:
    canvas = Canvas(60, 9, unicode)
    values = [(60 - index / 2, None if 60 <= index < 80 else 0.5) for index in range(121)]
    draw_trace(canvas, values, VALENCE_STYLE)
    line = cells(canvas)[2]
    assert line[:29].strip() == line[:29]
    assert not line[31:38].strip()
    assert line[41:].strip() == line[41:]
    assert not any(cells(canvas)[row].strip() for row in (1, 3, 5, 6, 7))
    assert [cells(canvas)[row].strip() for row in (0, 8)] == ["+1", "-1"]


def test_colours_can_be_read_on_black_and_on_white() -> None:
    styles = [style.color for style in (QUIET, VALENCE_STYLE, AROUSAL_STYLE)]
    colours = [color for color in styles if color] + [Color.parse(mood_colour(octant)) for octant in (*OCTANTS, None)]
    for colour in colours:
        parts = [part / 255 for part in colour.get_truecolor()]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert (luminance + 0.05) / 0.05 > 3.5, colour
        assert 1.05 / (luminance + 0.05) > 3.5, colour


def test_neighbouring_moods_differ_in_colour() -> None:
    colours = [mood_colour(octant) for octant in OCTANTS]
    assert all(one != other for one, other in pairwise([*colours, colours[0]]))


def test_the_picture_for_the_readme_can_be_drawn(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "draw_live_view.py"
    picture = tmp_path / "view.svg"
    subprocess.run([sys.executable, script, picture, "--section", SECTIONS[0].name], check=True)
    shown = re.sub(r"<[^>]*>", "", picture.read_text(encoding="utf-8"))
    for expected in ("moodring", "demo", "0:15.0", "excited", "valence", "tracking"):
        assert expected in shown
