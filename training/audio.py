"""From a file of music to the frames that the frontend takes.

The arithmetic is the live path's: mean over the channels, soxr's high quality resampling of the float32 mono signal,
consecutive frames from the first sample on; what is left at the end is dropped.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from model.decoding import most_frames
from model.features import FeatureParameters
from training.tables import DataError

FloatArray = NDArray[np.float32]

MIDI_SUFFIXES = (".mid", ".midi")
SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
"""Where Debian's package fluid-soundfont-gm puts its sound font."""

RENDER_GAIN = 0.5
"""fluidsynth's master gain; higher ones clip dense passages."""

_RENDER_RATE = 44100
_RENDER_TIMEOUT = 600.0
_FRAMES_PER_READ = 1 << 18


def is_midi(source: Path) -> bool:
    """Tell whether a file must be rendered before it can be heard."""
    return source.suffix.lower() in MIDI_SUFFIXES


def render(midi: Path, sound_font: Path, audio: Path) -> None:
    """Render MIDI with fluidsynth to a WAV file of 32-bit floats.

    Parameters
    ----------
    midi, sound_font : Path
        What to play, and with which instruments.
    audio : Path
        Where to.

    Raises
    ------
    DataError
        If fluidsynth or the sound font is missing, or fluidsynth makes nothing of the file.
    """
    if not sound_font.is_file():
        raise DataError(
            f'there is no sound font "{sound_font}" to render MIDI with; Debian\'s package is fluid-soundfont-gm'
        )
    command = ["fluidsynth", "-ni", "-q", "-g", str(RENDER_GAIN), "-r", str(_RENDER_RATE)]
    command += ["-T", "wav", "-O", "float", "-F", str(audio), str(sound_font), str(midi)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_RENDER_TIMEOUT)
    except FileNotFoundError as error:
        raise DataError(
            'MIDI is rendered with the program "fluidsynth", which is missing; Debian\'s package is fluidsynth'
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DataError(f'fluidsynth did not finish rendering "{midi}" in {_RENDER_TIMEOUT:.0f} s') from error
    if done.returncode != 0 or not audio.is_file():
        raise DataError(f'fluidsynth could not render "{midi}"')


class _ForwardReader(soundfile.SoundFile):  # type: ignore[misc]
    """Does not seek to where it is anyway after every read, which in an MP3 of variable bit rate lands elsewhere."""

    def seekable(self) -> bool:
        return False


def read_mono(source: Path, sample_rate: int, sound_font: Path = SOUND_FONT) -> FloatArray:
    """Read a file as one channel at a sample rate.

    Parameters
    ----------
    source : Path
        Audio that libsndfile reads, or MIDI.
    sample_rate : int
        Wanted samples per second.
    sound_font : Path
        What MIDI is rendered with.

    Returns
    -------
    ndarray of float32, shape (n,)

    Raises
    ------
    DataError
        If the file cannot be decoded or rendered.
    """
    mono, rate = read_as_it_is(source, sound_font)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


def read_as_it_is(source: Path, sound_font: Path = SOUND_FONT) -> tuple[FloatArray, int]:
    """Read a file as one channel at its own sample rate.

    Parameters
    ----------
    source : Path
        Audio that libsndfile reads, or MIDI.
    sound_font : Path
        What MIDI is rendered with.

    Returns
    -------
    samples : ndarray of float32, shape (n,)
    sample_rate : int

    Raises
    ------
    DataError
        If the file cannot be decoded or rendered.
    """
    if is_midi(source):
        with tempfile.TemporaryDirectory(prefix="moodring-") as folder:
            audio = Path(folder) / "render.wav"
            render(source, sound_font, audio)
            samples, rate = _decode(audio, source)
    else:
        samples, rate = _decode(source, source)
    mono: FloatArray = samples.mean(axis=1, dtype=np.float32)
    return mono, rate


def read_frames(source: Path, parameters: FeatureParameters, sound_font: Path = SOUND_FONT) -> FloatArray:
    """Read a file as frames.

    Parameters
    ----------
    source : Path
        Audio that libsndfile reads, or MIDI.
    parameters : FeatureParameters
        Sample rate and length of the frames.
    sound_font : Path
        What MIDI is rendered with.

    Returns
    -------
    ndarray of float32, shape (n, frame_length)

    Raises
    ------
    DataError
        If the file cannot be decoded or rendered, or is shorter than a frame.
    """
    mono = read_mono(source, parameters.sample_rate, sound_font)
    length = parameters.frame_length
    count = len(mono) // length
    if count == 0:
        raise DataError(f'"{source}" is shorter than a frame of {parameters.frame_duration} s')
    frames: FloatArray = mono[: count * length].reshape(count, length)
    return frames


def _decode(audio: Path, named: Path) -> tuple[FloatArray, int]:
    try:
        with _ForwardReader(audio) as file:
            rate = file.samplerate
            blocks = [np.zeros((0, file.channels), dtype=np.float32)]
            # block by block: soundfile.read takes memory for as many samples as the header claims
            left = most_frames(file.format, audio.stat().st_size)
            while len(block := file.read(_FRAMES_PER_READ, dtype="float32", always_2d=True)):
                blocks.append(block)
                left -= len(block)
                if left < 0:
                    raise DataError(f'"{named}" is damaged: its header claims more than it can hold')
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        raise DataError(f'cannot decode "{named}": {error}') from error
    samples: FloatArray = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise DataError(f'"{named}" holds samples that are not finite numbers')
    return samples, int(rate)
