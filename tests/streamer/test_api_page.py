"""Runs every example of streamer/API.md, and holds the public names to what the page says of them."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamer
from model.bundled import bundled_onnx_path
from model.estimator import Estimator
from model.loading import load_model
from streamer import Estimate, MoodringError, StreamTracker, Subscriber, track
from streamer.messages import DEFAULT_ENDPOINT, Status
from streamer.source import Block, SourceError
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "streamer" / "API.md"
LONGEST_EXAMPLE = 10
RATE = 22050
ROUNDING = 1e-5
"""What batches of other sizes may change in an estimate."""


@dataclass(frozen=True)
class Example:
    heading: str
    source: str
    line: int


def _examples() -> Iterator[Example]:
    text = PAGE.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        heading = re.findall(r"^## (.*)$", text[: match.start()], re.MULTILINE)[-1]
        yield Example(heading, match[1], text[: match.start()].count("\n") + 1)


EXAMPLES = {example.heading: example for example in _examples()}


def _run(heading: str, endpoint: str = DEFAULT_ENDPOINT) -> None:
    example = EXAMPLES[heading]
    source = example.source.replace(DEFAULT_ENDPOINT, endpoint)
    test = doctest.DocTestParser().get_doctest(source, {}, heading, str(PAGE), example.line)
    told: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(told)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "song.wav").symlink_to(song)
    shutil.copy(bundled_onnx_path(), tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "heading", [h for h in EXAMPLES if h not in ("A microphone", "Subscribe", "Several streams, published")]
)
def test_an_example_prints_what_the_page_says(heading: str) -> None:
    _run(heading)


def test_the_microphone_of_the_page_hears(sound_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_SERVER"):
        monkeypatch.setenv(variable, sound_server[variable])
    player = subprocess.Popen(["paplay", "--device=mic_sink", "song.wav"], env=sound_server)
    try:
        _run("A microphone")
    finally:
        player.terminate()
        player.wait()


def test_what_the_page_publishes_can_be_subscribed_to(folder: Path) -> None:
    endpoint = f"ipc://{folder}/page"
    heard: set[str] = set()

    def subscribe() -> None:
        with Subscriber(endpoint, timeout=60) as subscriber:
            while heard != {"left", "right"}:
                heard.add(next(subscriber).stream)

    subscribing = threading.Thread(target=subscribe, daemon=True)
    subscribing.start()
    deadline = time.monotonic() + 60
    while subscribing.is_alive() and time.monotonic() < deadline:
        _run("Several streams, published", endpoint)  # whoever comes too late for the last one is there for the next
    assert heard == {"left", "right"}


def test_the_subscriber_of_the_page_hears(folder: Path) -> None:
    endpoint = f"ipc://{folder}/page"
    publishing = subprocess.Popen(
        [sys.executable, "-m", "streamer.cli", "stream", str(folder / "song.wav"), "--quiet", "--publish", endpoint],
        cwd=REPOSITORY,
    )
    try:
        _run("Subscribe", endpoint)
    finally:
        publishing.terminate()
        publishing.wait()


def test_every_example_is_short() -> None:
    assert len(EXAMPLES) >= 8
    for example in EXAMPLES.values():
        code = [line for line in example.source.splitlines() if line.startswith((">>>", "..."))]
        assert len(code) <= LONGEST_EXAMPLE, example.heading


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    assert set(streamer.__all__) == set(streamer._HOMES)
    for name, home in streamer._HOMES.items():
        assert getattr(streamer, name) is getattr(importlib.import_module(home), name)
    assert set(streamer.__all__) <= set(dir(streamer))
    with pytest.raises(AttributeError, match="no_such_name"):
        streamer.no_such_name  # noqa: B018


def test_a_subscriber_by_its_short_name_needs_only_pyzmq() -> None:
    program = (
        "import sys; from streamer import Subscriber; "
        "sys.exit(' '.join({'numpy', 'onnxruntime', 'soxr', 'click'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return load_model()


@pytest.fixture(scope="module")
def music(piece: np.ndarray) -> np.ndarray:
    """Four seconds where the piece wakes up, with a rest in between."""
    excerpt = piece[44100 * 13 : 44100 * 17].copy()
    excerpt[60000:61000] = 0
    return excerpt


def _values(estimates: list[Estimate]) -> np.ndarray:
    return np.array(
        [[e.position, e.valence, e.arousal, e.valence_std, e.arousal_std, e.loudness] for e in estimates], float
    )


@settings(max_examples=15)
@given(sizes=st.lists(st.integers(0, 50000), min_size=1, max_size=12), rate=st.sampled_from([2.0, 10.0]))
def test_blocks_of_any_size_give_what_the_whole_array_does(
    estimator: Estimator, music: np.ndarray, sizes: list[int], rate: float
) -> None:
    at_once = list(track(music, 44100, model=estimator, rate=rate))
    tracker = StreamTracker(44100, estimator, rate=rate)
    pushed: list[Estimate] = []
    start = 0
    for size in sizes:
        pushed += tracker.push(music[start : start + size])
        start += size
    pushed += tracker.push(music[start:]) + tracker.finish()
    np.testing.assert_allclose(_values(pushed), _values(at_once), atol=ROUNDING)
    assert [e.sequence for e in pushed] == list(range(len(pushed)))
    assert [e.state for e in pushed] == [e.state for e in at_once]


def test_positions_count_what_was_lost_and_times_begin_where_they_are_said_to(
    estimator: Estimator, music: np.ndarray
) -> None:
    tracker = StreamTracker(44100, estimator, stream="desk", began=1000.0)
    estimates = tracker.push(music[:52920])
    tracker.skip(35280)
    estimates += tracker.push(music[52920:97020]) + tracker.finish()
    assert [e.position for e in estimates] == [0.5, 1.0, 2.5, 3.0]
    assert [e.time for e in estimates] == [1000.5, 1001.0, 1002.5, 1003.0]
    assert {e.stream for e in estimates} == {"desk"}
    assert tracker.dropped == 0.8


def test_mono_stereo_and_other_floats_are_heard_alike(estimator: Estimator, music: np.ndarray) -> None:
    mono = music.mean(axis=1)
    expected = _values(list(track(mono, 44100, model=estimator)))
    for same in (mono[:, np.newaxis], mono.astype(np.float64), np.stack([mono, mono], axis=1)):
        np.testing.assert_allclose(_values(list(track(same, 44100, model=estimator))), expected, atol=ROUNDING)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(RATE, np.int16), "int16; give floats"),
        (np.zeros((4, 4, 4), np.float32), "3 dimensions"),
        (np.zeros((2, RATE), np.float32), "has 22050 channels"),
        (np.zeros(100, np.float32), "shorter than one frame"),
    ],
)
def test_what_cannot_be_tracked_is_said(estimator: Estimator, samples: np.ndarray, said: str) -> None:
    with pytest.raises(MoodringError, match=said):
        list(track(samples, RATE, model=estimator))


def test_samples_that_are_no_numbers_are_counted(estimator: Estimator, music: np.ndarray) -> None:
    broken = music.astype(np.float64)
    broken[1000] = [np.nan, 1e300]
    tracker = StreamTracker(44100, estimator)
    estimates = tracker.push(broken)
    assert tracker.invalid == 2
    assert np.isfinite(_values(estimates)).all()


def test_a_sample_rate_goes_with_an_array_alone(estimator: Estimator) -> None:
    with pytest.raises(TypeError, match="sample_rate"):
        track(np.zeros(RATE, np.float32), model=estimator)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="sample_rate"):
        track("song.wav", 44100, model=estimator)  # type: ignore[call-overload]


class _Live:
    """Music that comes at its own pace, and then a device that fails."""

    live = True
    name = "the stage"
    sample_rate = 44100
    zeros_hint = ""

    def __init__(self, samples: np.ndarray, fails: bool) -> None:
        self._samples = samples
        self._fails = fails
        self.closed = False

    def blocks(self) -> Iterator[Block]:
        for start in range(0, len(self._samples), 4410):
            if self.closed:
                return
            yield Block(self._samples[start : start + 4410])
        if self._fails:
            raise SourceError("the stage is on fire")

    def close(self) -> None:
        self.closed = True


def test_a_live_source_is_tracked_as_an_array_is_and_tells_how_it_does(estimator: Estimator, music: np.ndarray) -> None:
    statuses: list[Status] = []
    heard: list[Estimate] = []
    source = _Live(music, fails=True)
    with pytest.raises(MoodringError, match="on fire"):
        heard.extend(track(source, model=estimator, on_status=statuses.append))
    np.testing.assert_allclose(_values(heard), _values(list(track(music, 44100, model=estimator))), atol=ROUNDING)
    assert [status.state for status in statuses] == ["starting", "running", "failed"]
    assert statuses[-1].reason == "the stage is on fire"
    assert heard[0].time > 1e9


def test_a_live_source_is_closed_when_nobody_asks_for_more(estimator: Estimator, music: np.ndarray) -> None:
    source = _Live(np.tile(music, (20, 1)), fails=False)
    for _ in track(source, model=estimator):
        break
    assert source.closed
