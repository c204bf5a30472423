"""What the bundled models say of sounds that are not music, of softer music, and how large they are."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from training import audio

SPOKEN = (
    "The ferry leaves at seven, and the last bus at half past nine. Please keep your ticket until you have left the "
    "station. In the afternoon there will be showers, with sunny spells towards the coast, and it stays cool. "
)


@pytest.fixture(scope="module", params=BUNDLED)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    if request.param == "large" and find_spec("musicnn") is None:
        pytest.skip("the large model needs the package musicnn (pip install --no-deps musicnn==0.1.0)")
    return load_checkpoint(request.param)


def estimates(checkpoint: Checkpoint, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = checkpoint.frontend.parameters.frame_length
    frames = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float32)
    rows = checkpoint.features(frames, [checkpoint.memory()] * len(frames))
    windows = [rows[max(0, end - checkpoint.history) : end][np.newaxis] for end in range(1, len(rows) + 1)]
    said = [checkpoint.estimate_with_std(window) for window in windows]
    stds = [std for _, std in said if std is not None]
    assert len(stds) == len(rows)
    return np.concatenate([values for values, _ in said]), np.concatenate(stds)


@pytest.fixture(scope="module")
def not_music(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Speech from espeak-ng, and noise and a crowd's applause from sox: nothing that training has heard."""
    for program in ("espeak-ng", "sox"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    folder = tmp_path_factory.mktemp("not music")
    made = {name: folder / f"{name}.wav" for name in ("speech", "noise", "applause")}
    subprocess.run(["espeak-ng", "-s", "150", "-w", made["speech"], SPOKEN * 2], check=True)
    rate = ["-r", "22050", "-c", "1"]
    subprocess.run(["sox", "-R", "-n", *rate, made["noise"], "synth", "20", "pinknoise", "gain", "-12"], check=True)
    claps = ["highpass", "800", "lowpass", "6000", "tremolo", "9", "80", "tremolo", "13", "60", "gain", "-12"]
    subprocess.run(["sox", "-R", "-n", *rate, made["applause"], "synth", "20", "whitenoise", *claps], check=True)
    return made


@pytest.fixture(scope="module")
def music(labelled_music: Path) -> list[Path]:
    clips = sorted((labelled_music / "emomusic" / "audio").glob("*.mp3"))
    if not clips:
        pytest.skip(f"no emomusic in {labelled_music}")
    return clips


def test_what_is_not_music_is_less_certain_than_music(
    checkpoint: Checkpoint, not_music: dict[str, Path], music: list[Path]
) -> None:
    rate = checkpoint.frontend.parameters.sample_rate
    of_music = np.mean(
        [estimates(checkpoint, audio.read_mono(clip, rate)[: 20 * rate])[1].mean(axis=0) for clip in music], axis=0
    )
    for name, path in not_music.items():
        of_sound = estimates(checkpoint, audio.read_mono(path, rate)[: 20 * rate])[1].mean(axis=0)
        assert (of_sound > 1.2 * of_music).all(), f"{name}: {of_sound} beside {of_music} of music"


def test_gain_makes_no_difference(checkpoint: Checkpoint, music: list[Path]) -> None:
    rate = checkpoint.frontend.parameters.sample_rate
    for clip in music:
        samples = audio.read_mono(clip, rate)[: 20 * rate]
        full, soft = (estimates(checkpoint, samples * gain)[0] for gain in (1.0, 0.1))
        assert np.abs(soft - full).mean(axis=0).max() <= 0.03


def test_estimates_and_their_deviations_stay_within_bounds(checkpoint: Checkpoint) -> None:
    rng = np.random.default_rng(0)
    rate = checkpoint.frontend.parameters.sample_rate
    for samples in (np.zeros(3 * rate), rng.choice([-1.0, 1.0], 3 * rate), np.eye(1, 3 * rate)[0]):
        values, stds = estimates(checkpoint, samples)
        assert (np.abs(values) <= 1).all()
        assert ((stds > 0) & (stds <= 1)).all()


def test_the_default_is_small() -> None:
    checkpoint = load_checkpoint()
    assert checkpoint.ear is not None
    modules = (checkpoint.network, checkpoint.ear)
    assert sum(weights.numel() for module in modules for weights in module.parameters()) <= 300_000
