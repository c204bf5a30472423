from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.pipe import Pipe
from streamer.source import SourceError

MOODRING = [sys.executable, "-m", "streamer.cli"]


def _read(data: bytes, **options: object) -> np.ndarray:
    """Send bytes through a real pipe; give the samples that come out."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as end:
            end.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            pipe = Pipe(stream, **options)  # type: ignore[arg-type]
            blocks = []
            try:
                for block in pipe.blocks():
                    blocks.append(block.samples)
            except SourceError as error:
                error.samples = np.concatenate(blocks) if blocks else None  # type: ignore[attr-defined]
                raise
            return np.concatenate(blocks)
    finally:
        writer.join()


SAMPLES = np.random.default_rng(0).uniform(-0.9, 0.9, (50_000, 2))


@pytest.mark.parametrize(
    ("sample_format", "data", "accuracy"),
    [
        ("s16le", (SAMPLES * 2**15).astype("<i2").tobytes(), 2**-15),
        ("s24le", (SAMPLES * 2**31).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes(), 2**-22),
        ("s32le", (SAMPLES * 2**31).astype("<i4").tobytes(), 2**-22),
        ("f32le", SAMPLES.astype("<f4").tobytes(), 2**-22),
    ],
)
def test_formats(sample_format: str, data: bytes, accuracy: float) -> None:
    np.testing.assert_allclose(_read(data, sample_format=sample_format), SAMPLES, atol=accuracy)


def test_the_middle_of_a_sample() -> None:
    data = (SAMPLES * 2**15).astype("<i2").tobytes()
    with pytest.raises(
        SourceError, match=r"ended in the middle of a sample: 3 of 4 bytes .*--channels and --format"
    ) as e:
        _read(data + b"abc")
    assert e.value.samples.shape == SAMPLES.shape  # type: ignore[attr-defined]


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_file_with_a_header_is_not_raw(container: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song", SAMPLES, 44100, format=container)
    with pytest.raises(SourceError, match="not raw PCM; decode it first: ffmpeg"):
        _read((tmp_path / "song").read_bytes())


def test_integers_are_not_floats() -> None:
    with pytest.raises(SourceError, match="does not hold f32le samples; check --format"):
        _read((SAMPLES * 2**12).astype("<i2").tobytes(), sample_format="f32le")


def test_single_floats_that_are_not_numbers_pass() -> None:
    samples = SAMPLES.astype("<f4")
    samples[7] = np.nan
    assert np.isnan(_read(samples.tobytes(), sample_format="f32le")[7]).all()


@pytest.mark.parametrize(
    "options", [{"sample_rate": 0}, {"sample_rate": -1}, {"channels": 0}, {"channels": 5000}, {"sample_format": "u8"}]
)
def test_impossible_formats(options: dict[str, object]) -> None:
    with pytest.raises(SourceError, match=r"can be tracked|unknown sample format"):
        _read(b"", **options)


def test_a_silent_writer_is_noticed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb"):
        blocks = Pipe(stream).blocks()
        assert next(blocks).samples.shape == (0, 2)


def _stream(data: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MOODRING, "stream", "-", "--fast", "--json", "--publish", "tcp://127.0.0.1:*", *options],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
        text=False,
    )


def test_the_pipe_gives_what_the_file_gives(song: Path) -> None:
    samples, _ = soundfile.read(song, dtype="int16", stop=44100 * 15)
    piped = _stream(samples.tobytes())
    assert piped.returncode == 0, piped.stderr
    estimates = [json.loads(line) for line in piped.stdout.splitlines()]
    annotated = subprocess.run([*MOODRING, "annotate", str(song)], capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in annotated.stdout.splitlines()[1:]]
    assert len(estimates) == 30
    for estimate, row in zip(estimates, rows, strict=False):
        assert estimate["position"] == float(row[1])
        assert estimate["valence"] == pytest.approx(float(row[2]), abs=2e-4)
        assert estimate["arousal"] == pytest.approx(float(row[3]), abs=2e-4)
    assert [estimate["sequence"] for estimate in estimates] == list(range(30))


def test_an_odd_number_of_bytes_is_one_line_after_the_estimates(song: Path) -> None:
    samples, _ = soundfile.read(song, dtype="int16", stop=44100 * 2)
    piped = _stream(samples.tobytes() + b"x")
    assert piped.returncode == 1
    assert len(piped.stdout.splitlines()) == 4
    assert piped.stderr.decode().count("\n") == 1
    assert b"moodring: standard input ended in the middle of a sample" in piped.stderr


def test_nothing_at_all() -> None:
    piped = _stream(b"")
    assert piped.returncode == 1
    assert piped.stderr == b"moodring: standard input is shorter than one frame (0.5 s): nothing to track\n"
