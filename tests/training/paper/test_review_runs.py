"""The time that a killed run notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.paper.synthetic import learnable_songs, small
from training.paper.fitting import Epoch
from training.paper.runs import Run, hash_songs, perform
from training.paper.songs import Division


def test_a_killed_run_counts_the_time_before(tmp_path: Path) -> None:
    division = Division(learnable_songs(6), learnable_songs(2, seed=1))
    run = Run(small(epochs=3), 0)
    songs = hash_songs(division)

    class Killed(BaseException):
        """Nothing in between answers it."""

    def kill(part: str, epoch: Epoch) -> None:
        # a signal would leave what is on disk now, and nothing that is written later
        (noted,) = tmp_path.glob("*.state/seconds.json")
        assert float(noted.read_text()) > 0
        noted.write_text("1000.0")
        if epoch.number == 2:
            raise Killed

    with pytest.raises(Killed):
        perform(run, division, songs, tmp_path, kill)
    (noted,) = tmp_path.glob("*.state/seconds.json")
    assert noted.read_text() == "1000.0"
    assert perform(run, division, songs, tmp_path).result.seconds >= 1000
    assert not list(tmp_path.glob("*.state"))
