"""Rows that are kept survive whatever happens to the file that they are in, or are not taken for rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.kept_rows import KeptRows, identify
from streamer.table import Row, TableError

SETTINGS = {"model": "m", "lag": "0"}


def _rows(name: str, count: int) -> list[Row]:
    return [(name, 0.5 * (i + 1), None if i % 2 else 0.1234, -0.5, None, 0.25, "warming", -20.1) for i in range(count)]


def _keep(folder: Path) -> dict[str, list[Row]]:
    kept_of = {}
    with KeptRows(str(folder / "mood.csv"), SETTINGS) as kept:
        for number, name in enumerate(("a.wav", "b ü.wav", "c\udcff.wav")):
            file = folder / name
            file.write_bytes(bytes(number))
            rows = _rows(str(file).encode(errors="backslashreplace").decode(), 2 * number)
            kept.write(rows)
            kept.finish(str(file), identify(str(file)), 0, None)
            kept_of[str(file)] = rows
    return kept_of


@given(share=st.floats(0, 1, exclude_max=True), flipped=st.integers(0, 255))
def test_damaged_anywhere_only_whole_files_are_taken_up(
    tmp_path_factory: pytest.TempPathFactory, share: float, flipped: int
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    files = _keep(folder)
    path = folder / ".mood.csv.part"
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    in_header = place <= content.index(b"\n")
    if flipped:
        content[place] ^= flipped
    else:
        del content[place:]
    path.write_bytes(content)
    try:
        with KeptRows(str(folder / "mood.csv"), SETTINGS) as kept:
            held = [file for file in files if kept.holds(file)]
            assert held == list(files)[: len(held)]
            assert len(held) < len(files)
            for file in held:
                assert [row for some in kept.rows(file) for row in some] == files[file]
            # and it goes on from there
            for file in list(files)[len(held) :]:
                kept.write(files[file])
                kept.finish(file, identify(file), 0, None)
    except TableError:
        assert in_header
        return
    with KeptRows(str(folder / "mood.csv"), SETTINGS) as kept:
        for file in files:
            assert [row for some in kept.rows(file) for row in some] == files[file]


def test_what_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    file = str(tmp_path / "a.wav")
    with KeptRows(str(tmp_path / "mood.csv"), SETTINGS) as kept:
        kept.finish(file, identify(file), 0, f'there is no file "{file}"')
        assert not kept.holds(file)
        assert not kept.changed(file)
        Path(file).write_bytes(b"here")
        kept.finish(file, identify(file), 0, "broken")
        assert kept.holds(file)
        assert kept.problem(file) == "broken"
    Path(file).write_bytes(b"here now")
    with KeptRows(str(tmp_path / "mood.csv"), SETTINGS) as kept:
        assert not kept.holds(file)
        assert kept.changed(file)


def test_a_long_list_of_files_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    tracemalloc.start()
    with KeptRows(str(tmp_path / "mood.csv"), SETTINGS) as kept:
        for number in range(40):
            kept.write(_rows("x", 1000))
            kept.finish(f"/music/{number}.flac", None, 0, None)
        for number in range(40):
            for _ in kept.rows(f"/music/{number}.flac"):
                pass
        kept.remove()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6
