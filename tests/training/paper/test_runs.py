from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.training.paper.synthetic import learnable_songs
from training.paper.configuration import configure
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.runs import Run, hash_songs, perform
from training.paper.songs import Division


def test_an_ensemble_of_trained_members_is_the_ensemble_trained_at_once(tmp_path: Path) -> None:
    division = Division(learnable_songs(6), learnable_songs(2, seed=1))
    songs_hash = hash_songs(division)
    ensemble = Run(configure({"system": "ensemble", "epochs": 2}), seed=3)
    (tmp_path / "once").mkdir()
    (tmp_path / "apart").mkdir()
    once = perform(ensemble, division, songs_hash, tmp_path / "once")
    for length in SEQUENCE_LENGTHS:
        alone = Run(configure({"system": "crnn", "sequence_length": length, "epochs": 2}), seed=3)
        perform(alone, division, songs_hash, tmp_path / "apart")
    trained: list[str] = []
    apart = perform(ensemble, division, songs_hash, tmp_path / "apart", lambda part, epoch: trained.append(part))
    assert not trained
    for one, other in zip(once.estimates + once.validation, apart.estimates + apart.validation, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert apart.result.parameter_count == once.result.parameter_count
    assert apart.result.epochs == once.result.epochs
    np.testing.assert_allclose(
        apart.result.evaluation.pooled_rmse.valence, once.result.evaluation.pooled_rmse.valence, atol=1e-6
    )
