from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from streamer.circumplex import mood_word
from streamer.cues import SHORTEST, Cue, CueMaker
from streamer.subtitles import FORMATS, SubtitleWriter
from tests.conftest import Outcome
from tests.streamer.forks import Origin, origin

Point = tuple[float, float] | None


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as started:
        yield started


def _cues(points: list[Point], lag: float = 0.0) -> list[Cue]:
    maker = CueMaker(lag)
    cues: list[Cue] = []
    for number, point in enumerate(points):
        cues += maker.push(0.5 * (number + 1), *(point or (None, None)))
    return [*cues, *maker.finish()]


_VALUE = st.floats(-1, 1)
_POINTS = st.lists(st.one_of(st.none(), st.tuples(_VALUE, _VALUE), st.just((0.3, 0.3))), max_size=60)


@given(_POINTS)
def test_cues_cover_the_music_and_nothing_else_and_can_be_read(points: list[Point]) -> None:
    cues = _cues(points)
    assert all(before.end <= after.start for before, after in pairwise(cues))
    assert all(before.word != after.word for before, after in pairwise(cues) if before.end == after.start)
    music: list[tuple[float, float]] = []
    start = 0
    for there, group in groupby(points, lambda point: point is not None):
        length = len(list(group))
        if there:
            music.append((start * 0.5, (start + length) * 0.5))
        start += length
    covered: list[tuple[float, float]] = []
    for cue in cues:
        if covered and covered[-1][1] == cue.start:
            covered[-1] = covered[-1][0], cue.end
        else:
            covered.append((cue.start, cue.end))
    assert covered == music
    for cue in cues:
        if cue.end - cue.start < SHORTEST:
            assert (cue.start, cue.end) in music
    for cue in cues:
        inside = [point for point in points[int(cue.start * 2) : int(cue.end * 2)] if point is not None]
        means = [sum(values) / len(inside) for values in zip(*inside, strict=True)]
        assert [cue.valence, cue.arousal] == pytest.approx(means, abs=1e-9)


@given(st.integers(1, 6))
def test_a_flicker_is_no_change(flickers: int) -> None:
    assert mood_word(0.3, 0.35) != mood_word(0.25, 0.29)  # these lie on either side of a border
    flicker: list[Point] = [(0.3, 0.35), (0.25, 0.29)]
    other: list[Point] = [(-0.3, -0.3)]
    assert len(_cues(flicker * (2 * flickers) + other * 8)) == 2


def test_with_lag_a_cue_is_shown_when_it_sounds_like_that() -> None:
    points: list[Point] = [None] * 4 + [(0.3, 0.3)] * 8
    (cue,) = _cues(points, lag=2.0)
    assert (cue.start, cue.end) == (0.0, 4.0)


def _written(suffix: str, rows: list[tuple[object, ...]]) -> str:
    file = BytesIO()
    writer = SubtitleWriter(file, suffix, 0.0)
    writer.write(rows)
    writer.finish()
    return file.getvalue().decode()


def test_the_three_formats() -> None:
    excited, none, sad = (0.62, 0.4), (None, None), (-0.3, -0.004)
    rows = [
        ("song", 0.5 * (i + 1), *point, 0.1, 0.1, "tracking", -20.0)
        for i, point in enumerate([excited] * 5 + [none] * 7213 + [sad] * 4)
    ]
    assert _written(".srt", rows) == (
        "1\n00:00:00,000 --> 00:00:02,500\nexcited  valence +0.62  arousal +0.40\n\n"
        "2\n01:00:09,000 --> 01:00:11,000\nuneasy  valence -0.30  arousal +0.00\n\n"
    )
    assert _written(".vtt", rows) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nexcited  valence +0.62  arousal +0.40\n\n"
        "01:00:09.000 --> 01:00:11.000\nuneasy  valence -0.30  arousal +0.00\n\n"
    )
    assert _written(".lrc", rows) == (
        "[00:00.00]excited  valence +0.62  arousal +0.40\n[00:02.50]\n"
        "[60:09.00]uneasy  valence -0.30  arousal +0.00\n[60:11.00]\n"
    )


def _shown_by_ffprobe(subtitles: Path) -> list[tuple[float, float, str]]:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")
    wanted = ["-show_entries", "packet=pts_time,duration_time,data", "-show_data", "-of", "json"]
    probed = subprocess.run(
        ["ffprobe", "-v", "error", *wanted, str(subtitles)], capture_output=True, text=True, check=True
    )
    assert probed.stderr == ""
    shown = []
    for packet in json.loads(probed.stdout)["packets"]:
        text = bytes.fromhex("".join(line[10:50] for line in packet["data"].splitlines())).decode().strip()
        shown.append((float(packet["pts_time"]), float(packet.get("duration_time", "nan")), text))
    return shown


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_players_library_reads_what_annotate_writes(
    moodring: Callable[..., Outcome], song: Path, tmp_path: Path, suffix: str
) -> None:
    table, subtitles = tmp_path / "mood.csv", tmp_path / f"song{suffix}"
    assert moodring("annotate", song, "-o", table).status == 0
    assert moodring("annotate", song, "-o", subtitles).status == 0
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    points: list[Point] = [(float(row[2]), float(row[3])) if row[2] else None for row in rows]
    expected = _cues(points)
    assert len({cue.word for cue in expected}) > 2
    shown = [one for one in _shown_by_ffprobe(subtitles) if one[2]]  # an empty line ends what LRC shows
    assert [start for start, _, _ in shown] == pytest.approx([cue.start for cue in expected])
    for (_, duration, text), cue in zip(shown, expected, strict=True):
        valence, arousal = (round(value, 2) + 0.0 for value in (cue.valence, cue.arousal))  # not -0.00
        assert text == f"{cue.word}  valence {valence:+.2f}  arousal {arousal:+.2f}"
        if suffix != ".lrc":
            assert duration == pytest.approx(cue.end - cue.start)


def test_subtitles_go_beside_the_sound_into_a_container(
    moodring: Callable[..., Outcome], song: Path, tmp_path: Path
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    subtitles, film = tmp_path / "song.srt", tmp_path / "film.mkv"
    assert moodring("annotate", song, "-o", subtitles).status == 0
    inputs = ["-i", str(song), "-i", str(subtitles)]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c:a", "flac", "-c:s", "srt", str(film)], check=True)
    back = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(film), "-map", "0:s", "-f", "srt", "-"], capture_output=True, check=True
    )
    assert back.stdout.decode().split() == subtitles.read_text().split()


def test_subtitles_of_several_files_are_refused(moodring: Callable[..., Outcome], song: Path, tmp_path: Path) -> None:
    output = tmp_path / "both.srt"
    outcome = moodring("annotate", song, song, "-o", output)
    assert outcome.status == 1
    assert outcome.errors == (
        f'moodring: "{output}" can hold the subtitles of one file, not of 2; call it for each of them\n'
    )
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_byte_and_run_again_the_subtitles_are_the_same(forks: Origin, song: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed.srt"
    assert forks.start("annotate", song, "-o", undisturbed, "--jobs", 1).wait() == 0
    output = tmp_path / "killed.srt"
    for size in (0, 1, 700, 5000):
        run = forks.start("annotate", song, "-o", output, "--jobs", 1, largest_file=size, killed_by_it=True)
        assert run.wait() == -signal.SIGXFSZ
        assert not output.exists()
    assert forks.start("annotate", song, "-o", output, "--jobs", 1).wait() == 0
    assert output.read_bytes() == undisturbed.read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"undisturbed.srt", "killed.srt"}


def test_silence_has_no_subtitles(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(44100 * 3), 44100)
    assert moodring("annotate", quiet, "-o", tmp_path / "quiet.vtt").status == 0
    assert (tmp_path / "quiet.vtt").read_text() == "WEBVTT\n\n"
