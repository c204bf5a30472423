"""Files are there whole, or as they were before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.paper.synthetic import one_line
from training.files import write_whole
from training.state import state_beside
from training.tables import DataError


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_whole(path, b"a" * 1000, make_folder=True)
    write_whole(path, b"b")
    assert path.read_bytes() == b"b"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("what", "said"), [("", "cannot write"), ("the state", "cannot write the state")])
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, what: str, said: str) -> None:
    taken = tmp_path / "taken"
    (taken / "inside").mkdir(parents=True)
    for path in (taken, tmp_path / "none" / "a"):
        with pytest.raises(DataError) as caught:
            write_whole(path, b"a", what)
        assert one_line(caught.value).startswith(f'{said} "{path}": ')
    assert list(tmp_path.iterdir()) == [taken]


def test_a_training_that_could_not_be_written_does_not_begin(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = state_beside(path, resume=False)
    state.mkdir()
    with pytest.raises(DataError) as caught:
        state_beside(path, resume=False)
    assert "add --resume" in one_line(caught.value)
    assert state_beside(path, resume=True) == state
    for impossible in (tmp_path, tmp_path / "none" / "a.safetensors"):
        with pytest.raises(DataError) as caught:
            state_beside(impossible, resume=True)
        assert "folder" in one_line(caught.value)
