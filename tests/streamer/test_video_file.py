"""AAC, WMA and the sound of videos: as FFmpeg itself decodes them, at the right time, and not trusted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.checkpoint import Checkpoint
from streamer.framer import Framer
from streamer.offline import track
from streamer.opening import open_file
from streamer.source import SourceError
from tests.conftest import Outcome
from tests.fuzzing import survives

pytestmark = [
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed; scripts/test installs it"),
]
pytest.importorskip("av")

PICTURE = ("-f", "lavfi", "-i", "testsrc=d=8:s=64x48:r=5")
FILES = {
    "aac.m4a": (("-c:a", "aac"), ()),
    "alac.m4a": (("-c:a", "alac"), ()),
    "raw.aac": (("-c:a", "aac"), ()),
    "v2.wma": (("-c:a", "wmav2"), ()),
    "film.mp4": (("-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart"), PICTURE),
    "film.webm": (("-c:v", "vp8", "-c:a", "libopus"), PICTURE),
    "film.mkv": (("-c:v", "mpeg4", "-c:a", "flac"), PICTURE),
    "film.avi": (("-c:v", "mpeg4", "-c:a", "pcm_u8"), PICTURE),
}
SECONDS = 8


def _ffmpeg(*arguments: object) -> bytes:
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, piece: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("original") / "original.wav"
    soundfile.write(path, piece[44100 * 20 :][: 44100 * SECONDS], 44100)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, original: Path) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, (codec, picture) in FILES.items():
        _ffmpeg(*picture, "-i", original, *codec, folder / name)
    return folder


def _heard(path: Path) -> tuple[np.ndarray, list[int]]:
    blocks = list(open_file(path).blocks())
    return np.concatenate([block.samples for block in blocks]), [block.lost for block in blocks if block.lost]


@pytest.mark.parametrize("name", FILES)
def test_samples_are_those_that_ffmpeg_decodes(films: Path, name: str) -> None:
    samples, lost = _heard(films / name)
    decoded = np.frombuffer(_ffmpeg("-i", films / name, "-vn", "-f", "f32le", "-"), np.float32)
    assert lost == []
    np.testing.assert_allclose(samples, decoded.reshape(samples.shape), atol=1e-6)
    source = open_file(films / name)
    assert abs(len(samples) / source.sample_rate - SECONDS) < 0.1


def test_positions_and_estimates_are_those_of_the_original(checkpoint: Checkpoint, films: Path, original: Path) -> None:
    def estimates(path: Path) -> list[tuple[float, float]]:
        source = open_file(path)
        tracked = track(source, Framer(source.sample_rate, checkpoint.frontend.parameters), checkpoint, "a")
        return [(estimate.position, estimate.valence or 0.0) for estimate in tracked]

    assert estimates(films / "alac.m4a") == estimates(original)
    assert estimates(films / "film.mkv") == estimates(original)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_sound_that_begins_late_has_the_position_that_it_has_in_the_film(
    tmp_path: Path, original: Path, name: str
) -> None:
    _ffmpeg(*PICTURE, "-itsoffset", "2", "-i", original, "-c:v", "mpeg4", "-c:a", "aac", tmp_path / name)
    samples, lost = _heard(tmp_path / name)
    reference, _ = soundfile.read(original, dtype="float32")
    loud = np.abs(reference).mean(axis=1)
    heard = np.concatenate([np.zeros(sum(lost)), np.abs(samples).mean(axis=1)])
    # where the sound lies in the film: the best of all shifts of up to 3 s
    size = len(heard) + len(loud)
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(loud, size)))[: 3 * 44100]
    assert np.argmax(correlation) / 44100 == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_truncated_film_is_tracked_up_to_the_break(films: Path, tmp_path: Path, name: str) -> None:
    cut = tmp_path / name
    content = (films / name).read_bytes()
    cut.write_bytes(content[: len(content) * 6 // 10])
    blocks = open_file(cut).blocks()
    heard = 0
    with pytest.raises(SourceError, match="is truncated or damaged: it breaks off after"):  # noqa: PT012
        for block in blocks:
            heard += len(block.samples)
    assert heard > 2 * 44100


def test_what_cannot_be_read_gets_one_line_each(
    moodring: Callable[..., Outcome], films: Path, tmp_path: Path, song: Path
) -> None:
    mute, text, empty, disguised = (tmp_path / name for name in ("mute.mp4", "text.m4a", "empty.wma", "list.mkv"))
    _ffmpeg(*PICTURE, "-c:v", "mpeg4", mute)
    text.write_text("this is no music\n" * 100)
    empty.touch()
    # FFmpeg would fetch what such a list names, were it allowed to guess
    disguised.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\nfile://{films / 'raw.aac'}\n#EXT-X-ENDLIST\n")
    outcome = moodring("annotate", mute, text, empty, disguised, tmp_path / "none.mp4", films / "aac.m4a")
    assert outcome.status == 1
    assert outcome.errors.splitlines() == [
        f'moodring: "{mute}" has no sound that can be decoded',
        f'moodring: "{text}" is damaged, or not of the format that its name says',
        f'moodring: "{empty}" is empty',
        f'moodring: "{disguised}" is damaged, or not of the format that its name says',
        f'moodring: there is no file "{tmp_path}/none.mp4"',
    ]
    assert outcome.output.count("aac.m4a") == 16


def test_without_pyav_there_is_one_line_with_the_way_out(films: Path, song: Path, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    for path in (films / "aac.m4a", films / "film.mkv", song):
        shutil.copy(path, folder)
    program = """
import sys
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "av" else real(name, package)
from streamer.cli import main
main()
"""
    way_out = 'the package PyAV; install it: pip install "moodring[formats]"'
    for path, line in (
        (folder, f'moodring: 2 files below "{folder}" need {way_out}\n'),
        (folder / "aac.m4a", f'moodring: "{folder}/aac.m4a" needs {way_out}\n'),
    ):
        outcome = subprocess.run(
            [sys.executable, "-c", program, "annotate", str(path), "-o", str(tmp_path / "out.csv")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert outcome.returncode == 1
        assert outcome.stderr.startswith(line)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 121


def test_a_film_is_streamed_by_the_same_function(moodring: Callable[..., Outcome], films: Path) -> None:
    outcome = moodring("stream", films / "film.webm", "--fast", "--json", "--publish", "tcp://127.0.0.1:*")
    assert outcome.status == 0
    assert outcome.output.count('"stream": "film"') == 16


def test_more_channels_than_pyav_can_give_are_refused(tmp_path: Path) -> None:
    """It reads planes beyond the eighth from where there are none, and ends the process."""
    path = tmp_path / "many.mkv"
    _ffmpeg("-f", "lavfi", "-i", "anullsrc=cl=hexadecagonal", "-t", 1, "-c:a", "pcm_s16le", path)
    with pytest.raises(SourceError, match="has 16 channels; 8 can be tracked"):
        open_file(path)


def test_thousands_of_damaged_films(tmp_path: Path) -> None:
    survives("video", 1500, tmp_path)
