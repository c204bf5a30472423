"""What is computed of a file: the same as of the sound in it, in parts or from what was kept of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.ear import COLUMNS, MEL_BANDS, Ear
from tests.model.ears_for_tests import RememberingEar, plain_frontend, sounds, tiny_ear
from training.extractors import EarExtractor, SpectrogramExtractor, hear_kept


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 frames: more than are heard at once."""
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    soundfile.write(path, np.tile(sounds(10, 1), (7, 1)).ravel(), 22050, subtype="FLOAT")
    return path


def test_a_long_file_is_heard_in_parts_as_a_whole(long_file: Path) -> None:
    frames = np.tile(sounds(10, 1), (7, 1))
    ear = RememberingEar()
    said = EarExtractor(ear)(long_file, long_file.parent)
    np.testing.assert_allclose(said, ear.hear(frames, [ear.memory()] * 70), atol=1e-5)


@pytest.mark.parametrize("ear", [tiny_ear(), RememberingEar()], ids=["distilled", "remembering"])
def test_kept_spectrograms_are_heard_as_the_file_is(long_file: Path, ear: Ear) -> None:
    kept = SpectrogramExtractor(ear.frontend)(long_file, long_file.parent)
    assert kept.shape == (70, COLUMNS * MEL_BANDS)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(hear_kept(ear, kept), EarExtractor(ear)(long_file, long_file.parent))


def test_spectrograms_of_another_filterbank_are_kept_apart() -> None:
    one, other = plain_frontend(), plain_frontend()
    assert SpectrogramExtractor(one).key == SpectrogramExtractor(other).key
    other.mel_filterbank[3, 3] += 1
    assert SpectrogramExtractor(one).key != SpectrogramExtractor(other).key
