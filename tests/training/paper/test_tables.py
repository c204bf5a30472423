from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from training.paper.layout import Layout, Section, number
from training.paper.names import FEATURES
from training.paper.results import RunResult
from training.paper.scores import Yardsticks
from training.paper.tables import agreement, table_1, table_2, write_markdown
from training.tables import DataError

Make = Callable[..., RunResult]


def rows(layout: Layout, section: str) -> dict[str, list[str]]:
    (found,) = [s for s in layout.sections if s.title == section]
    return {row[0]: list(row[1:]) for row in found.rows}


def printed(layout: Layout, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(layout.to_rich())
    return console.export_text()


AVERAGED = "evaluation, averaged over songs"
POOLED = "evaluation, pooled over frames"
VALIDATION = "validation, averaged over songs"


def test_table_1_shows_ours_beside_the_papers(make_run: Make, known: Yardsticks) -> None:
    runs = [make_run(0.25, 0.2, 0), make_run(0.27, 0.2, 1), make_run(0.29, 0.23, 2, validation=0.2)]
    runs += [make_run(0.31, 0.21, sequence_length=60), make_run(0.5, 0.5, features="logmel")]
    table = table_1(runs, "opensmile", known)
    assert table.columns[1:4] == ["valence", "arousal", "average"]
    averaged = rows(table, AVERAGED)
    assert list(averaged) == ["60", "30", "20", "10", "mean predictor", "song-mean oracle"]
    assert averaged["10"] == ["0.270 ± 0.020", "0.210 ± 0.017", "0.240 ± 0.018", "0.235", "3"]
    assert averaged["60"] == ["0.310", "0.210", "0.260", "0.242", "1"]
    assert averaged["30"] == ["–", "–", "–", "0.236", "0"]
    assert averaged["mean predictor"] == ["0.265", "0.254", "0.260", "–", "–"]
    assert rows(table, POOLED)["10"][0] == "0.280 ± 0.020"
    assert rows(table, POOLED)["song-mean oracle"][:2] == ["0.104", "0.161"]
    assert rows(table, VALIDATION)["10"][0] == "0.240 ± 0.036"
    assert rows(table, VALIDATION)["10"][3] == "–"
    assert "mean predictor" not in rows(table, VALIDATION)
    with_validation = table_1(runs, "opensmile", known, known)
    assert rows(with_validation, VALIDATION)["mean predictor"][0] == "0.265"
    assert [rows(table_1([], "logmel", known), AVERAGED)[n][3] for n in ("60", "30", "20", "10")] == [
        "0.264",
        "0.260",
        "0.259",
        "0.258",
    ]


def test_table_2_shows_each_system_at_its_best(make_run: Make, known: Yardsticks) -> None:
    runs = [make_run(0.26, 0.2, validation=0.2), make_run(0.2, 0.2, sequence_length=60, validation=0.3)]
    runs.append(make_run(0.25, 0.21, system="ensemble", sequence_length=None, parameter_count=118_000))
    averaged = rows(table_2(runs, known), AVERAGED)
    paper = "0.267, 0.202, 0.235; 30 k"
    assert averaged["CRNN, opensmile, 10 frames"] == ["0.260", "0.200", "0.230", "29,876", "1", paper]
    assert averaged["CRNN_NB"] == ["–", "–", "–", "–", "0", "0.279, 0.231, 0.255; 17 k"]
    assert averaged["DBLSTM fusion"][5] == "0.285, 0.225, 0.255; 12 M"
    assert averaged["ensemble over sequence lengths, opensmile"][3:] == ["118,000", "1", "–"]
    assert list(averaged)[-2:] == ["mean predictor", "song-mean oracle"]


def test_agreement_is_of_the_run_that_validation_likes_best(make_run: Make, known: Yardsticks) -> None:
    runs = [make_run(0.3, 0.3, 0, validation=0.21, ccc=0.9), make_run(0.3, 0.3, 1, validation=0.2, ccc=0.4)]
    ccc = rows(agreement(runs, known), "CCC")
    assert ccc["CRNN, opensmile, 10 frames, seed 1"] == ["0.400 [0.300, 0.500]", "0.400 [0.200, 0.600]", "0.400"]
    assert set(ccc) == {"CRNN, opensmile, 10 frames, seed 1", "mean predictor", "song-mean oracle"}
    within = rows(agreement(runs, known), "within-song r")
    assert within["song-mean oracle"] == ["0.250 [0.200, 0.300]", "0.350 [0.300, 0.400]", "0.300"]


def test_tables_fit_a_terminal_and_say_the_same_as_markdown(make_run: Make, known: Yardsticks, tmp_path: Path) -> None:
    runs = [make_run(0.2612, 0.2, seed, features=features) for seed in (0, 1) for features in ("opensmile", "logmel")]
    tables = [*(table_1(runs, of, known, known) for of in FEATURES), table_2(runs, known), agreement(runs, known)]
    for table in tables:
        text = printed(table)
        assert "…" not in text
        assert "mean predictor" in text
        assert "0.261" in text
    path = tmp_path / "tables.md"
    write_markdown(path, tables)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("## ")] == [f"## {table.title}" for table in tables]
    for table in tables:
        start = lines.index(f"## {table.title}") + 2
        block = lines[start : lines.index("", start)]
        assert {line.count(" | ") + 1 for line in block} == {len(table.columns)}
        assert block[1].startswith("| --- | ---: |")
        assert len(block) == 2 + sum(1 + len(section.rows) for section in table.sections)
    with pytest.raises(DataError, match="cannot write"):
        write_markdown(tmp_path / "none" / "tables.md", tables)


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    layout = Layout("a [bold]table[/]", ["x", "y"], [Section("one | two", [["[red]a|b", "[/]"]])], ["[dim]note"])
    text = printed(layout)
    assert "[bold]table[/]" in text
    assert "[red]a|b" in text
    assert "[dim]note" in text
    assert "| [red]a\\|b | [/] |" in layout.to_markdown()


def test_there_is_no_negative_zero() -> None:
    assert (number(-0.0001), number(-0.001), number(0.12345)) == ("0.000", "-0.001", "0.123")
