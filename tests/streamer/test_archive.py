"""Archives without a cluster: the folder, what is done in it, and items of work in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow", reason="archives are Parquet (pip install moodring[parquet])")

import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from model.errors import MoodringError
from model.loading import DEFAULT_MODEL, load_model
from streamer.archive.folder import ArchiveFolder
from streamer.archive.records import BAD, ROWS, parquet_files, read_records
from streamer.archive.strikes import TRIES, Strikes
from streamer.archive.work import Item, Order, Outcome, do
from streamer.kept_rows import settings_of
from streamer.path_lists import read_paths
from streamer.table import TableError
from tests.conftest import Outcome as Ended
from tests.streamer.archives import bad_in, rows_of

SETTINGS = settings_of(load_model(), 0)
Run = Callable[..., Ended]


def order(folder: ArchiveFolder, settings: dict[str, str] = SETTINGS) -> Order:
    return Order(str(folder.path), os.getcwd(), folder.token, DEFAULT_MODEL, 0.0, settings)


def items(folder: ArchiveFolder, files: list[str]) -> list[Item]:
    return [Item(folder.part_of(file), [file]) for file in files]


def track(path: Path, files: list[str]) -> list[str]:
    """Bring an archive up to date as the engine does, here; give which files had to be tracked."""
    with ArchiveFolder(str(path), SETTINGS, len(files)) as folder:
        missing = folder.find_done(files).missing
        for item in items(folder, missing):
            assert do(item, order(folder)).failure == ""
    return missing


@pytest.fixture
def music(tmp_path: Path, piece: np.ndarray) -> list[str]:
    files = []
    for number in range(3):
        files.append(str(tmp_path / f"{number}.flac"))
        soundfile.write(files[-1], piece[number * 44100 * 3 : (number + 1) * 44100 * 3], 44100)
    (tmp_path / "bad.flac").write_bytes(b"not audio")
    return [*files, str(tmp_path / "bad.flac")]


def test_the_rows_are_those_of_annotate(music: list[str], moodring: Run, tmp_path: Path) -> None:
    assert track(tmp_path / "archive", music) == music
    assert moodring("annotate", *music, "-o", tmp_path / "mood.parquet").status == 1
    whole = pyarrow.parquet.read_table(tmp_path / "mood.parquet")
    assert rows_of(tmp_path / "archive").equals(whole.sort_by([("file", "ascending"), ("position", "ascending")]))
    assert list(bad_in(tmp_path / "archive")) == music[3:]


def test_what_is_done_is_not_done_again_unless_it_has_changed(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with ArchiveFolder(str(archive), SETTINGS, 4) as folder:
        do(Item(folder.part_of(music[0]), music), order(folder))
    before = rows_of(archive)
    assert track(archive, music) == []
    soundfile.write(music[1], np.zeros(44100 * 2), 44100)
    (tmp_path / "bad.flac").write_bytes(Path(music[0]).read_bytes())
    assert track(archive, music) == [music[1], music[3]]
    after = rows_of(archive)
    assert bad_in(archive) == {}
    of_first = pyarrow.compute.is_in(before["file"], pyarrow.array([music[0], music[2]]))
    assert before.filter(of_first).to_pylist() == [r for r in after.to_pylist() if r["file"] in (music[0], music[2])]
    assert [row["state"] for row in after.to_pylist() if row["file"] == music[1]] == ["silence"] * 4


def test_an_archive_grows_and_what_is_not_asked_for_stays(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    assert track(archive, music[:1]) == music[:1]
    assert track(archive, music[1:3]) == music[1:3]
    assert set(rows_of(archive)["file"].to_pylist()) == set(music[:3])


def test_a_file_that_could_not_be_opened_is_tried_again(music: list[str], tmp_path: Path) -> None:
    later = str(tmp_path / "later.flac")
    assert track(tmp_path / "archive", [later]) == [later]
    assert list(bad_in(tmp_path / "archive")) == [later]
    os.rename(music[0], later)
    assert track(tmp_path / "archive", [later]) == [later]
    assert bad_in(tmp_path / "archive") == {}


def test_what_an_earlier_run_left_half_done_is_removed(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    track(archive, music[:1])
    (whole,) = parquet_files(archive / ROWS)
    torn = whole.with_name(f".{whole.name}.0123.new")
    torn.write_bytes(whole.read_bytes()[:100])
    orphan = archive / BAD / whole.parent.name / "orphan.parquet"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"")
    # a run that was killed between the two steps of replacing a file leaves both
    with ArchiveFolder(str(archive), SETTINGS, 2) as folder:
        do(Item(whole.parent.name, music[:2]), order(folder))
    assert track(archive, music[:2]) == []
    assert not torn.exists()
    assert not orphan.exists()
    table = rows_of(archive)
    assert len(set(zip(table["file"].to_pylist(), table["position"].to_pylist(), strict=True))) == len(table)


def test_a_file_that_kills_is_named_and_the_next_run_tries_it_again(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with ArchiveFolder(str(archive), SETTINGS, 2) as folder:
        for _ in range(TRIES):
            assert Strikes(archive).begin(music[0])
        assert do(Item("part=0000", music[:2]), order(folder))[1:] == (2, 1, 0, "")
    assert "each of 2 processes that read it was killed" in bad_in(archive)[music[0]]
    assert track(archive, music[:2]) == music[:1]
    assert bad_in(archive) == {}


def test_whoever_is_left_of_an_earlier_run_writes_nothing(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with ArchiveFolder(str(archive), SETTINGS, 1) as folder:
        old = order(folder)
    with ArchiveFolder(str(archive), SETTINGS, 1):
        outcome = do(Item("part=0000", music[:1]), old)
    assert "another run writes it" in outcome.failure
    assert list(parquet_files(archive / ROWS)) == []


def test_a_machine_with_another_version_is_refused(music: list[str], tmp_path: Path) -> None:
    with ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 1) as folder:
        outcome = do(Item("part=0000", music[:1]), order(folder, SETTINGS | {"numpy": "1.0"}))
    assert isinstance(outcome, Outcome)
    assert "another numpy is installed than where annotate was started" in outcome.failure


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_cannot_be_written_is_told(music: list[str], tmp_path: Path) -> None:
    with ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 1) as folder:
        folder.path.chmod(0o500)
        assert "cannot write" in do(Item("part=0000", music[:1]), order(folder)).failure


def test_two_runs_do_not_write_one_archive(tmp_path: Path) -> None:
    with (
        ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 1),
        pytest.raises(TableError, match="another moodring is writing it"),
    ):
        ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 1)


def test_rows_of_another_model_are_not_mixed_in_nor_thrown_away_unasked(music: list[str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    track(archive, music[:1])
    other = SETTINGS | {"model": "another"}
    with pytest.raises(TableError, match="made with another model; give another folder, or add --restart"):
        ArchiveFolder(str(archive), other, 1)
    assert len(rows_of(archive)) == 6
    with ArchiveFolder(str(archive), other, 1, restart=True) as folder:
        assert folder.find_done(music[:1]).missing == music[:1]


@pytest.mark.parametrize("content", [None, "{}", "[]", '{"layout": 2, "parts": 1, "settings": {}}', "\udcff"])
def test_a_folder_with_something_else_is_left_alone(content: str | None, tmp_path: Path) -> None:
    name = "archive.json" if content is not None else "thesis.txt"
    (tmp_path / name).write_bytes((content or "").encode(errors="surrogateescape"))
    for restart in (False, True):
        with pytest.raises(TableError, match="holds something else than an archive"):
            ArchiveFolder(str(tmp_path), SETTINGS, 1, restart)
    assert (tmp_path / name).exists()


def test_a_strange_file_among_the_rows_is_named(music: list[str], tmp_path: Path) -> None:
    track(tmp_path / "archive", music[:1])
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "archive" / ROWS / "part=0000" / "a.parquet")
    with pytest.raises(TableError, match=r'a.parquet" is not what moodring wrote into an archive'):
        track(tmp_path / "archive", music[:1])


def test_parts_hold_a_share_of_the_files_each_and_stay_as_they_are(tmp_path: Path) -> None:
    with ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 40_000) as folder:
        places = [folder.part_of(f"music/{number}.mp3") for number in range(9000)]
    assert {places.count(part) > 800 for part in set(places)} == {True}
    assert len(set(places)) == 9
    with ArchiveFolder(str(tmp_path / "archive"), SETTINGS, 1) as folder:
        assert folder.part_of("music/0.mp3") == places[0]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & set(b"\r\n\0"))))
def test_a_list_of_lines_gives_every_path_once(names: list[bytes]) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"moodring-list-{os.getpid()}.txt"
    path.write_bytes(b"".join(name + (b"\r\n" if i % 2 else b"\n\n") for i, name in enumerate(names)))
    try:
        assert list(read_paths(str(path))) == list(dict.fromkeys(map(os.fsdecode, names)))
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"path": ["a", "b", "a"], "title": ["x", "y", "z"]}, ["a", "b"]),
        ({"file": ["a", None], "state": ["x", "y"]}, ["a"]),
        ({"anything": ["a"], "number": [1]}, ["a"]),
        ({"one": ["a"], "two": ["b"]}, None),
        ({"number": [1]}, None),
    ],
)
def test_a_list_in_parquet_has_a_column_of_paths(
    columns: dict[str, list[object]], expected: list[str] | None, tmp_path: Path
) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "list.parquet")
    if expected is None:
        with pytest.raises(MoodringError, match='no column "path"'):
            list(read_paths(str(tmp_path / "list.parquet")))
    else:
        assert list(read_paths(str(tmp_path / "list.parquet"))) == expected


@pytest.mark.parametrize("name", ["none.txt", "none.parquet", "not.parquet"])
def test_a_list_that_cannot_be_read_is_named(name: str, tmp_path: Path, moodring: Run) -> None:
    (tmp_path / "not.parquet").write_text("not Parquet")
    outcome = moodring("annotate", tmp_path / name)
    assert outcome.status == 1
    assert outcome.errors.startswith(f'moodring: cannot read the list "{tmp_path / name}"')
    assert len(outcome.errors.splitlines()) == 1


def test_lists_are_sources_of_one_process_too(music: list[str], tmp_path: Path, moodring: Run) -> None:
    (tmp_path / "list.txt").write_text("\n".join(music[:2]))
    listed, named = moodring("annotate", tmp_path / "list.txt"), moodring("annotate", *music[:2])
    assert (listed.status, listed.output) == (0, named.output)


def test_records_are_in_the_file_of_the_rows(music: list[str], tmp_path: Path) -> None:
    track(tmp_path / "archive", music[:1])
    (path,) = parquet_files(tmp_path / "archive" / ROWS)
    (record,) = read_records(path)
    assert (record.file, record.rows, record.size) == (music[0], 6, os.path.getsize(music[0]))


@pytest.mark.parametrize("output", ["-", "mood.csv", "mood.parquet"])
def test_ray_writes_a_folder(output: str, song: Path, moodring: Run) -> None:
    outcome = moodring("annotate", song, "-o", output, "--engine", "ray")
    assert outcome.status == 2
    assert "give one with -o FOLDER" in outcome.errors


def test_an_address_means_nothing_without_the_engine(song: Path, moodring: Run) -> None:
    outcome = moodring("annotate", song, "--ray-address", "127.0.0.1:1")
    assert outcome.status == 2
    assert "--ray-address needs --engine ray" in outcome.errors
