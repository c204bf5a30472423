"""Settings and names that used to end in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Outcome
from tests.training.paper.synthetic import one_line
from training.paper.configuration import configure, read_toml
from training.tables import DataError


@pytest.mark.parametrize("setting", ['features = ["logmel"]', "system = {}", "features = 1"])
def test_settings_of_another_kind_are_one_line(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"{setting}\n")
    with pytest.raises(DataError) as caught:
        read_toml(path)
    assert "must be a string" in one_line(caught.value)


def test_dropout_suits_the_features_and_the_system() -> None:
    assert configure({}).dropout == configure({"features": "logmel", "system": "crnn-nb"}).dropout == 0.75
    assert configure({"features": "opensmile"}).dropout == configure({"system": "dblstm-fusion"}).dropout == 0.25
    assert configure({"features": "opensmile", "dropout": 0.5}).dropout == 0.5


@pytest.mark.parametrize("command", ["train", "reproduce", "search"])
@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seeds_that_not_everything_takes_are_refused(
    moodring: Callable[..., Outcome], tmp_path: Path, command: str, seed: int
) -> None:
    own = ["--study", tmp_path / "a.db"] if command == "search" else []
    done = moodring(command, "--data", tmp_path, "-o", tmp_path / "a", *own, "--seed", seed)
    assert done.status == 2
    assert "is not in the range 0<=x<=2147483647" in done.errors


def test_songs_may_be_called_what_they_like(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib (pip install moodring[plots])")
    from training.paper.plots import curves_figure, save_figure, song_errors_figure

    names = ["$_^$.wav", "100 $.mp3", "a_b^c.flac"]
    labels = [np.full((4, 2), 0.1)] * 3
    estimates = [np.full((4, 2), 0.1 * number) for number in range(3)]
    figures = [
        curves_figure("a system", names, labels, estimates, np.zeros(2), [0.5] * 3),
        song_errors_figure("a system", names, labels, estimates, np.zeros(2)),
    ]
    for number, figure in enumerate(figures):
        for path in save_figure(figure, tmp_path / str(number)):
            assert path.stat().st_size > 0
