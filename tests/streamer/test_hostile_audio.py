"""Audio files and PCM that nobody should trust: read, or refused in one line; estimates stay in their range."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.checkpoint import Checkpoint
from scripts.benchmarks.fuzzing.audio import AudioTarget
from scripts.benchmarks.fuzzing.target import check_estimates, check_message
from streamer.audio_file import AudioFile
from streamer.framer import Framer
from streamer.offline import track
from streamer.pcm import FORMATS
from streamer.pipe import Pipe
from streamer.samples import Samples
from streamer.source import SourceError
from tests.fuzzing import survives
from training.audio import read_as_it_is
from training.tables import DataError

MOODRING = [sys.executable, "-m", "streamer.cli"]
EXTREMES = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-38, 1e30, -1e30, 3.4e38, np.nan, np.inf, -np.inf, 2.0**31]
A_FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_format_that_is_asked_for_is_among_the_files() -> None:
    formats = {name.split()[0] for name in AudioTarget().files}
    assert {"WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64", "AU", "RF64", "VOC", "NIST"} <= formats
    assert {"OGG VORBIS", "OGG OPUS", "CAF ALAC_16", "WAV IMA_ADPCM"} <= set(AudioTarget().files)


def test_thousands_of_damaged_files(tmp_path: Path) -> None:
    survives("audio", 4000, tmp_path)


def test_thousands_of_pipes(tmp_path: Path) -> None:
    survives("pcm", 3000, tmp_path)


def _wav(frames: int, claimed: int, rate: int = 8000) -> bytes:
    data = bytes(2 * frames)
    return (
        b"RIFF" + struct.pack("<I", min(claimed * 2 + 36, 2**32 - 1)) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
        + b"data" + struct.pack("<I", min(2 * claimed, 2**32 - 1)) + data
    )  # fmt: skip


def _au(claimed: int) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, claimed, 3, 8000, 1) + bytes(9000)


def _w64(claimed: int) -> bytes:
    riff, wave, fmt, data = (
        bytes.fromhex(text)
        for text in (
            "726966662e91cf11a5d628db04c10000",
            "77617665f3acd3118cd100c04f8edb8a",
            "666d7420f3acd3118cd100c04f8edb8a",
            "64617461f3acd3118cd100c04f8edb8a",
        )
    )
    header = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    return (
        riff + struct.pack("<Q", claimed) + wave + fmt + struct.pack("<Q", 24 + len(header)) + header
        + data + struct.pack("<Q", claimed) + bytes(9000)
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [_wav(5000, 2**31), _wav(5000, 2**40), _au(2**32 - 2), _w64(2**40), _w64(2**63 - 1), _w64(2**62)],
    ids=["wav 4 GB", "wav", "au 4 GB", "w64 2^40", "w64 2^63", "w64 2^62"],
)
def test_a_header_that_claims_terabytes_costs_nothing(tmp_path: Path, content: bytes) -> None:
    """In a process that could not take them."""
    path = tmp_path / "claims.wav"
    path.write_bytes(content)
    program = f"""
import resource
from pathlib import Path
from streamer.audio_file import AudioFile
from streamer.source import SourceError
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
heard = 0
try:
    for block in AudioFile({str(path)!r}).blocks():
        heard += len(block.samples)
        assert heard < 100_000
except SourceError as error:
    print(error)
print("end")
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc")
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.endswith("end\n")


def _endless_gsm() -> bytes:
    """Make a file of a kilobyte whose negative length makes libsndfile decode silence for a year."""
    content = io.BytesIO()
    soundfile.write(content, np.zeros(4400), 8000, format="W64", subtype="GSM610")
    changed = bytearray(content.getvalue())
    data = changed.index(b"data\xf3\xac\xd3\x11")
    changed[data + 16 : data + 24] = struct.pack("<q", -5267523607516413008)
    return bytes(changed)


def test_a_file_is_not_longer_than_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "endless.w64"
    path.write_bytes(_endless_gsm())
    assert soundfile.info(path).frames > 10**11
    blocks = islice(AudioFile(path).blocks(), 7)
    with pytest.raises(SourceError, match="is truncated or damaged: it breaks off after"):
        list(blocks)
    with pytest.raises(DataError, match="its header claims more than it can hold"):
        read_as_it_is(path)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("FLAC", "PCM_S8"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("CAF", "ALAC_16")],
)
def test_silence_that_is_packed_tightly_is_heard_to_its_end(
    tmp_path: Path, container: str, subtype: str | None
) -> None:
    path = tmp_path / "silence"
    with soundfile.SoundFile(path, "w", 48000, 1, subtype=subtype, format=container) as file:
        for _ in range(120):  # the Vorbis encoder takes no two minutes at once
            file.write(np.zeros(48000))
    assert sum(len(block.samples) for block in AudioFile(path).blocks()) >= 48000 * 120


def test_what_the_decoder_prints_is_not_among_the_rows(tmp_path: Path) -> None:
    """libsndfile prints about each damaged packet of a MIDI sample dump, on standard output."""
    whole, damaged = tmp_path / "whole.wav", tmp_path / "damaged.sds"
    tone = np.sin(np.arange(22050 * 2) / 20).astype(np.float32) / 2
    soundfile.write(whole, tone, 22050)
    soundfile.write(damaged, tone, 22050, format="SDS", subtype="PCM_16")
    content = bytearray(damaged.read_bytes())
    content[500::97] = bytes(len(content[500::97]))
    damaged.write_bytes(content)
    outcome = subprocess.run(
        [*MOODRING, "annotate", str(damaged), str(whole)], capture_output=True, text=True, timeout=60, check=False
    )
    lines = outcome.stdout.splitlines()
    assert len(lines) >= 1 + 4
    assert all(line.startswith((str(whole), str(damaged), "file,")) for line in lines), lines[:5]
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("name", ["a\x00b.wav", "\x1b[31m\x00.wav"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(SourceError, match="is not the name of a file") as refused:
        AudioFile(name)
    check_message(refused.value)


@A_FEW
@given(
    pattern=st.lists(st.sampled_from(EXTREMES) | st.floats(width=32), min_size=1, max_size=40),
    channels=st.sampled_from([1, 2, 7]),
    rate=st.sampled_from([8000, 22050, 44100, 192000]),
)
def test_extreme_samples_give_estimates_in_their_range(
    checkpoint: Checkpoint, pattern: list[float], channels: int, rate: int
) -> None:
    samples = np.resize(np.array(pattern, dtype=np.float32), (int(rate * 1.1), channels))
    framer = Framer(rate, checkpoint.frontend.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_estimates(track(Samples("extremes", samples, rate), framer, checkpoint, "a")) == 2
    with np.errstate(invalid="ignore"):
        assert framer.invalid == int(np.count_nonzero(~(np.abs(samples) <= 2.0**31)))


@pytest.mark.parametrize("level", [1e-45, 1e-30, 1e-4, 1.0, 1e4, 2.0**31])
@pytest.mark.parametrize("shape", ["constant", "square", "noise", "burst"])
def test_every_level_gives_estimates_in_their_range(checkpoint: Checkpoint, level: float, shape: str) -> None:
    time = np.arange(44100 * 3) / 44100
    wave = {
        "constant": np.ones_like(time),
        "square": np.sign(np.sin(2 * np.pi * 110 * time) + 1e-9),
        "noise": np.random.default_rng(0).uniform(-1, 1, len(time)),
        "burst": (time > 2.4) * 1.0,
    }[shape]
    samples = (wave * level).astype(np.float32)[:, np.newaxis]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        framer = Framer(44100, checkpoint.frontend.parameters)
        assert check_estimates(track(Samples(shape, samples, 44100), framer, checkpoint, "a")) == 6


def _through_a_pipe(portions: list[bytes], **options: object) -> np.ndarray:
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as end:
            for portion in portions:
                end.write(portion)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with os.fdopen(reading, "rb", buffering=0) as stream:
            pipe = Pipe(stream, **options)  # type: ignore[arg-type]
            blocks = [np.zeros((0, pipe.channels), dtype=np.float32)]
            blocks += [block.samples for block in pipe.blocks()]
            return np.concatenate(blocks)
    finally:
        writer.join()


@A_FEW
@given(
    samples=arrays.arrays(
        np.float32,
        st.tuples(st.integers(16, 300), st.just(2)),
        # none so small that floats full of them would be taken for another format
        elements=st.floats(-1, 1, width=32).map(lambda sample: sample if abs(sample) > 1e-6 else 0.0),
    ),
    cuts=st.lists(st.integers(0, 2400), max_size=8),
    sample_format=st.sampled_from(list(FORMATS)),
)
def test_portions_of_any_size_are_the_same_samples(samples: np.ndarray, cuts: list[int], sample_format: str) -> None:
    samples[:10] = 0.25  # so that it neither begins like a file nor holds what no float sample is
    data = {
        "s16le": (samples * 32767).astype("<i2").tobytes(),
        "s24le": (samples.astype(np.float64) * (2**31 - 1)).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes(),
        "s32le": (samples.astype(np.float64) * (2**31 - 1)).astype("<i4").tobytes(),
        "f32le": samples.astype("<f4").tobytes(),
    }[sample_format]
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    portions = [data[a:b] for a, b in pairwise(edges)]
    whole = _through_a_pipe([data], sample_format=sample_format)
    np.testing.assert_array_equal(_through_a_pipe(portions, sample_format=sample_format), whole)
    assert whole.shape == samples.shape


@A_FEW
@given(data=st.binary(max_size=5000), sample_format=st.sampled_from(list(FORMATS)), channels=st.integers(1, 1024))
def test_any_bytes_on_a_pipe_are_samples_or_one_line(data: bytes, sample_format: str, channels: int) -> None:
    with suppress(SourceError):
        try:
            samples = _through_a_pipe([data], sample_format=sample_format, channels=channels)
        except SourceError as error:
            check_message(error)
            raise
        assert samples.shape == (len(data) // (FORMATS[sample_format][1] * channels), channels)
