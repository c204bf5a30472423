"""What is computed of a file: the same as of the sound in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.model.ears_for_tests import RememberingEar, sounds
from training.extractors import EarExtractor


def test_a_long_file_is_heard_in_parts_as_a_whole(tmp_path: Path) -> None:
    frames = np.tile(sounds(10, 1), (7, 1))
    soundfile.write(tmp_path / "long.wav", frames.ravel(), 22050, subtype="FLOAT")
    ear = RememberingEar()
    said = EarExtractor(ear)(tmp_path / "long.wav", tmp_path)
    np.testing.assert_allclose(said, ear.hear(frames, [ear.memory()] * 70), atol=1e-5)
