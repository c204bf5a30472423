"""What is tracked with ONNX Runtime is what is tracked with torch, through the whole path, and torch is not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.estimator import Estimator
from model.loading import load_model
from streamer.framer import Frame, Framer
from streamer.history import StreamHistory
from streamer.messages import Estimate
from streamer.offline import track
from streamer.samples import Samples
from streamer.tracker import track_batch
from tests.conftest import REPOSITORY, Outcome

TOLERANCE = 1e-5
RATE = 44100


def assert_same(ours: list[Estimate], expected: list[Estimate]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert (one.state, one.position, one.sequence, one.lag) == (
            other.state,
            other.position,
            other.sequence,
            other.lag,
        )
        for name in ("valence", "arousal", "valence_std", "arousal_std"):
            assert (getattr(one, name) is None) == (getattr(other, name) is None)
            if getattr(one, name) is not None:
                assert getattr(one, name) == pytest.approx(getattr(other, name), abs=TOLERANCE), (name, one.position)


@pytest.fixture(scope="module")
def onnx() -> Estimator:
    return load_model(runtime="onnx")


@pytest.fixture(scope="module")
def with_torch() -> Estimator:
    return load_model(runtime="torch")


@pytest.fixture(scope="module")
def music(piece: np.ndarray) -> np.ndarray:
    """Give music with a pause, silence, digital zeros, a whisper and a shout in it."""
    changed = piece.copy()
    changed[8 * RATE : int(9.2 * RATE)] = 0
    changed[20 * RATE : 25 * RATE] = 0
    changed[30 * RATE : 34 * RATE] *= 1e-3
    changed[40 * RATE : 42 * RATE] = np.clip(50 * changed[40 * RATE : 42 * RATE], -1, 1)
    return changed


@pytest.mark.parametrize("lag", [0.0, 3.0, 8.0])
def test_a_piece_is_tracked_alike(onnx: Estimator, with_torch: Estimator, music: np.ndarray, lag: float) -> None:
    ours, expected = (
        list(track(Samples("a", music, RATE), Framer(RATE, model.frontend.parameters), model, "a", lag))
        for model in (onnx, with_torch)
    )
    assert_same(ours, expected)
    assert {estimate.state for estimate in ours} == {"warming", "tracking", "silence"}
    heard = [estimate.valence for estimate in ours if estimate.valence is not None]
    assert np.std(heard) > 0.01


def test_streams_in_batches_with_gaps_are_tracked_alike_and_as_if_alone(
    onnx: Estimator, with_torch: Estimator, music: np.ndarray
) -> None:
    random = np.random.default_rng(0)
    length = onnx.frontend.parameters.frame_length
    mono = music.mean(axis=1)[::2].astype(np.float32)
    starts = random.integers(0, len(mono) // 3, 5)
    streams = []
    for start in starts:
        samples = mono[start : start + 60 * length].reshape(60, length)
        gaps = [float(random.choice([1.0, 5.0])) if i and random.random() < 0.05 else 0.0 for i in range(60)]
        positions = 0.5 * np.arange(1, 61) + np.cumsum(gaps)
        streams.append([Frame(s, position=p, gap=g) for s, p, g in zip(samples, positions, gaps, strict=True)])
    of_runtime: list[list[list[Estimate]]] = []
    for model in (onnx, with_torch):
        histories = [StreamHistory(f"{i}", model) for i in range(len(streams))]
        given: list[list[Estimate]] = [[] for _ in streams]
        order = np.random.default_rng(1)
        waiting = [list(frames) for frames in streams]
        while any(waiting):
            batch = [
                (i, frames.pop(0)) for i, frames in enumerate(waiting) for _ in range(order.integers(0, 4)) if frames
            ]
            if batch:
                estimates = track_batch(model, [(histories[i], frame) for i, frame in batch])
                for (i, _), estimate in zip(batch, estimates, strict=True):
                    given[i].append(estimate)
        of_runtime.append(given)
    for ours, expected in zip(*of_runtime, strict=True):
        assert_same(ours, expected)
    history = StreamHistory("0", onnx)
    alone = [track_batch(onnx, [(history, frame)])[0] for frame in streams[0]]
    assert_same(of_runtime[0][0], alone)


_WITHOUT = """
import sys
for package in sys.argv.pop(1).split(","):
    sys.modules[package] = None  # as if it were not installed
from streamer.cli import main
main()
"""


def without(packages: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, packages, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


TRAINING_ONLY = "torch,safetensors,librosa,scipy,sklearn,pandas,sympy,onnx,google"


def rows_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_commands_need_no_torch(song: Path, tmp_path: Path, moodring: Callable[..., Outcome]) -> None:
    live = ("--fast", "--json", "--publish", "tcp://127.0.0.1:*")
    ended = without(TRAINING_ONLY, "stream", song, *live)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = moodring("stream", song, *live, "--runtime", "torch")
    for ours, other in zip(rows_of(ended.stdout), rows_of(expected.output), strict=True):
        for name in ("valence", "arousal", "valence_std", "arousal_std"):
            # messages have four decimals, and between two of them a difference of any size tips the balance
            assert ours[name] == pytest.approx(other[name], abs=TOLERANCE + 1e-4)
    ended = without(TRAINING_ONLY, "annotate", song, "-o", tmp_path / "rows.jsonl", "--jobs", 1)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(rows_of((tmp_path / "rows.jsonl").read_text())) == len(rows_of(expected.output))


@pytest.mark.parametrize(
    ("packages", "arguments", "said"),
    [
        (
            "torch",
            ["stream", "SONG", "--runtime", "torch"],
            '--runtime torch needs torch: pip install "moodring[torch]"',
        ),
        ("torch", ["stream", "SONG", "--model", "large"], 'model "large" needs torch: pip install "moodring[torch]"'),
        ("torch", ["annotate", "SONG", "--model", "a.safetensors"], "needs torch: pip install"),
        ("onnxruntime", ["stream", "SONG"], 'model "default" needs onnxruntime: pip install moodring'),
        ("torch", ["export", "-o", "OUT.onnx"], 'moodring export needs torch: pip install "moodring[export]"'),
        ("onnx", ["export", "-o", "OUT.onnx"], 'moodring export needs onnx: pip install "moodring[export]"'),
        ("torch", ["train", "--data", ".", "-o", "m.safetensors"], 'pip install "moodring[train]"'),
        ("torch", ["evaluate", "m.safetensors", "--data", "."], 'pip install "moodring[train]"'),
        ("torch", ["reproduce", "--data", "."], 'pip install "moodring['),
    ],
)
def test_a_missing_package_is_one_line(packages: str, arguments: list[str], said: str, song: Path) -> None:
    ended = without(packages, *[str(song) if one == "SONG" else one for one in arguments])
    assert ended.returncode != 0
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("moodring: ")
    assert said in line


def test_an_exported_model_tracks_as_its_checkpoint(
    song: Path, tmp_path: Path, moodring: Callable[..., Outcome]
) -> None:
    assert moodring("export", "-o", tmp_path / "mine.onnx").status == 0
    live = ("--fast", "--json", "--publish", "tcp://127.0.0.1:*")
    ours = moodring("stream", song, *live, "--model", tmp_path / "mine.onnx")
    assert ours.status == 0, ours.errors
    assert rows_of(ours.output)[-1]["model"] == load_model().name
    assert moodring("export", "-o", tmp_path / "mine.bin").status != 0
    assert moodring("export", "large", "-o", tmp_path / "large.onnx").status != 0
