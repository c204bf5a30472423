from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.checkpoint import Checkpoint
from streamer.audio_file import AudioFile
from streamer.framer import Framer
from streamer.messages import Estimate
from streamer.offline import track
from streamer.source import SourceError
from tests.conftest import Outcome

FORMATS = {
    "s8.wav": {"format": "WAV", "subtype": "PCM_U8"},
    "s16.wav": {"subtype": "PCM_16"},
    "s24.wav": {"subtype": "PCM_24"},
    "s32.wav": {"subtype": "PCM_32"},
    "float.wav": {"subtype": "FLOAT"},
    "double.wav": {"subtype": "DOUBLE"},
    "a.flac": {},
    "a.ogg": {"subtype": "VORBIS"},
    "a.opus": {"format": "OGG", "subtype": "OPUS"},
    "a.mp3": {"format": "MP3"},
    "a.aiff": {},
}


def _clip(rate: int, channels: int, seconds: float = 3.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6)) / 6
    return np.tile(tones[:, None], (1, channels)).astype(np.float32)


def _track(path: Path, checkpoint: Checkpoint) -> list[Estimate]:
    source = AudioFile(path)
    return list(track(source, Framer(source.sample_rate, checkpoint.frontend.parameters), checkpoint, "a"))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_estimates(name: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    reference = tmp_path / "reference.wav"
    soundfile.write(reference, _clip(48000, 2), 48000, subtype="FLOAT")
    soundfile.write(tmp_path / name, _clip(48000, 2), 48000, **FORMATS[name])
    expected = _track(reference, checkpoint)
    for estimate, reference_estimate in zip(_track(tmp_path / name, checkpoint)[:5], expected[:5], strict=True):
        # pure tones: what a codec or 8 bits leave between them is the whole difference
        assert estimate.loudness == pytest.approx(reference_estimate.loudness, abs=0.5)
        assert estimate.valence is not None
        assert -1 <= estimate.valence <= 1


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 1), (44100, 6), (48000, 2), (96000, 1), (192000, 2)])
def test_rates_and_channels(rate: int, channels: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, _clip(rate, channels), rate, subtype="PCM_16")
    estimates = _track(path, checkpoint)
    assert [estimate.position for estimate in estimates] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    reference = tmp_path / "reference.wav"
    soundfile.write(reference, _clip(44100, 1), 44100, subtype="PCM_16")
    if rate >= 44100:
        for estimate, expected in zip(estimates, _track(reference, checkpoint), strict=True):
            assert estimate.arousal == pytest.approx(expected.arousal, abs=0.05)


@pytest.mark.parametrize("bitrate_mode", ["CONSTANT", "VARIABLE"])
def test_blocks_of_an_mp3_are_the_whole_mp3(bitrate_mode: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, _clip(48000, 2), 48000, bitrate_mode=bitrate_mode, compression_level=0.5)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    blocks = np.concatenate([block.samples for block in AudioFile(path).blocks()])
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


def test_real_music(recording: Path, checkpoint: Checkpoint) -> None:
    estimates = _track(recording, checkpoint)
    assert len(estimates) == int(AudioFile(recording).duration / 0.5)
    valences = [estimate.valence for estimate in estimates if estimate.valence is not None]
    assert len(valences) == len(estimates)
    assert np.std(valences) > 0.005


@pytest.mark.parametrize("name", ["song.mp3", "song.flac"])
def test_a_truncated_file_is_tracked_up_to_the_break(
    moodring: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    whole, cut = tmp_path / f"whole-{name}", tmp_path / name
    noise = np.random.default_rng(0).normal(0, 0.1, 44100 * 8)
    soundfile.write(whole, noise, 44100, format=name[-4:].strip(".").upper())
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    outcome = moodring("annotate", cut, whole)
    assert outcome.status == 1
    rows = [line.split(",") for line in outcome.output.splitlines()[1:]]
    positions = [float(row[1]) for row in rows if row[0] == str(cut)]
    assert 4.0 <= positions[-1] <= 5.5
    assert positions == [0.5 * (i + 1) for i in range(len(positions))]
    assert sum(row[0] == str(whole) for row in rows) == 16
    assert f'moodring: "{cut}" is truncated or damaged: it breaks off after' in outcome.errors


def test_bad_files_get_one_clear_line_each(moodring: Callable[..., Outcome], tmp_path: Path, song: Path) -> None:
    text, empty, short, headers = (tmp_path / name for name in ("song.mp3", "empty.wav", "short.wav", "none.wav"))
    text.write_text("this is not music\n" * 100)
    empty.touch()
    soundfile.write(short, _clip(44100, 2, 0.4), 44100)
    soundfile.write(headers, np.zeros((0, 2)), 44100)
    missing = tmp_path / "missing.flac"
    output = tmp_path / "out.csv"
    outcome = moodring("annotate", text, empty, song, short, headers, missing, "-o", output)
    assert outcome.status == 1
    assert outcome.errors.splitlines() == [
        f'moodring: "{text}" is not audio that libsndfile reads; convert it first: ffmpeg -i FILE song.flac',
        f'moodring: "{empty}" is empty',
        f'moodring: "{short}" is shorter than one frame (0.5 s): nothing to track',
        f'moodring: "{headers}" is shorter than one frame (0.5 s): nothing to track',
        f'moodring: there is no file "{missing}"',
    ]
    assert len(output.read_text().splitlines()) == 1 + 120


@pytest.mark.parametrize("command", ["stream", "annotate"])
def test_a_missing_file(moodring: Callable[..., Outcome], command: str, tmp_path: Path) -> None:
    outcome = moodring(command, tmp_path / "nothing.mp3")
    assert outcome.status == 1
    assert f'there is no file "{tmp_path}/nothing.mp3"' in outcome.errors
    assert "Traceback" not in outcome.errors


def test_samples_that_are_not_numbers(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    clip = _clip(44100, 2)
    clip[1000:1010] = np.nan
    clip[50_000, 0] = np.inf
    path = tmp_path / "nan.wav"
    soundfile.write(path, clip, 44100, subtype="FLOAT")
    outcome = moodring("annotate", path)
    assert outcome.status == 0
    assert outcome.errors == f'moodring: 21 samples of "{path}" were not finite, taken as silence\n'
    assert len(outcome.output.splitlines()) == 7
    assert "nan" not in outcome.output.replace(str(path), "")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        AudioFile(tmp_path)


def test_a_header_that_claims_too_much(tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, _clip(44100, 1), 44100)
    content = bytearray(path.read_bytes())
    content[24:28] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(SourceError, match="samples per second; 1000 to 768000 can be tracked"):
        AudioFile(path)


def test_file_names_that_are_no_text(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff,[red].wav")
    soundfile.write(os.fsencode(path), _clip(44100, 1), 44100)
    for ending in ("csv", "jsonl", "parquet"):
        outcome = moodring("annotate", path, "-o", tmp_path / f"out.{ending}")
        assert (outcome.status, outcome.errors) == (0, "")
    assert "a\\udcff,[red].wav" in (tmp_path / "out.csv").read_text()


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(SourceError, match="is not a regular file"):
            AudioFile(path)
