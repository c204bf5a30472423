from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.figures.conftest import continuous, signs, static
from training.clips import Clip
from training.figures.report import REAL_LAG, SHIFTED, CrossFigures, cross_figures, write_markdown
from training.tables import DataError
from training.tracks import Tracks


@pytest.fixture(scope="module")
def material() -> tuple[dict[str, list[Clip]], Tracks]:
    made = continuous(std=0.1), static(std=0.2), signs()
    return {k: v for clips, _ in made for k, v in clips.items()}, {k: v for _, t in made for k, v in t.items()}


@pytest.fixture(scope="module")
def measured(material: tuple[dict[str, list[Clip]], Tracks]) -> CrossFigures:
    clips, tracks = material
    genres = {"4q": {clip.name: ("Jazz",) for clip in clips["4q"]}}
    return cross_figures(tracks, clips, genres, by_lag={0.0: tracks}, lags=[0.0, 1.0], resamples=50)


def test_everything_is_measured(measured: CrossFigures) -> None:
    assert [one.dataset for one in measured.fast] == ["vgmidi", "emotify", "4q"]
    assert [one.dataset for one in measured.slow] == ["vgmidi"]
    assert {curve: list(by_lag) for curve, by_lag in measured.lags.items()} == {SHIFTED: [0.0, 1.0], REAL_LAG: [0.0]}
    assert measured.lags[SHIFTED][0.0] == measured.lags[REAL_LAG][0.0] == measured.fast
    assert {one.dataset for one in measured.coverage} == {"vgmidi", "emotify"}
    assert [genre.genre for genre in measured.genres] == ["Jazz"]


def test_tables_hold_figures_goals_and_verdicts(measured: CrossFigures) -> None:
    text = measured.to_markdown()
    figure = measured.fast[0].figures[0]
    assert figure.interval is not None
    low, high = figure.interval
    line = next(line for line in text.splitlines() if line.startswith("| CCC, valence"))
    assert f"| {figure.value:.3f} [{low:.3f}, {high:.3f}] |" in line
    assert line.endswith("| 0.790 | ≥ 0.580 | yes |")
    assert "emopia quadrant accuracy" in text
    assert "within 0.05" not in text
    assert "within 0.05" in measured.to_markdown(allowance=0.05)
    console = Console(width=160, file=io.StringIO(), record=True)
    for table in measured.layouts():
        console.print(table.to_rich())
    shown = console.export_text()
    for heading in ("Figures and goals", "The slow mood", "Coverage", "figures against lag", "By genre"):
        assert heading in shown


def test_json_holds_the_same(measured: CrossFigures) -> None:
    content = measured.to_json()
    assert json.loads(json.dumps(content)) == content
    valence = content["figures"]["vgmidi"]["time-continuous"]["metrics"]["CCC"]["valence"]
    assert valence["goal"] == 0.58
    assert valence["reached"] is True
    assert valence["value"] == pytest.approx(measured.fast[0].figures[0].value, abs=1e-4)
    assert content["figures"]["4q"]["signs"]["metrics"]["quadrant macro F1"]["goal"] == 0.77
    assert set(content["lags"][SHIFTED]) == {"0", "1"}
    assert len(content["coverage"]["vgmidi"]["time-continuous"]) == 4
    assert content["genres"]["4q"][0]["genre"] == "Jazz"


def test_markdown_is_written(measured: CrossFigures, tmp_path: Path) -> None:
    write_markdown(tmp_path / "a.md", measured.layouts())
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == measured.to_markdown()
    with pytest.raises(DataError, match="cannot write the tables"):
        write_markdown(tmp_path / "none" / "a.md", measured.layouts())
