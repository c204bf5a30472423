"""Learning curves: nested shares of the songs, and nothing that is measured is trained on."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import training.learning_curve
from model.crnn import CRNNParameters
from model.features import FeatureParameters
from model.network import NetworkParameters
from training.clips import DEVELOPMENT, EVALUATION, Clip, StaticLabels
from training.curve_plots import learning_figure
from training.figures.learning import learning_layouts
from training.held_out import Material
from training.learning_curve import SHARES, draw_groups, learning_curve
from training.recipe import Recipe

PARAMETERS = FeatureParameters(mel_bands=8)
NETWORK = NetworkParameters(
    window=4,
    memory=8,
    columns=("logmel_mean", "harmony"),
    summary_units=0,
    spread_units=2,
    crnn=CRNNParameters(conv_filters=1, fc_units=2, gru_units=2, maxout_pieces=2),
)
RECIPE = replace(Recipe(), steps=2, windows_per_step={"emotify": 4, "4q": 4})


def clips_of(dataset: str, songs: int, part: str = DEVELOPMENT) -> list[Clip]:
    """Give two clips of each song."""
    return [
        Clip(dataset, f"{part}{n}", f"{part} song {n // 2}", Path(), part, StaticLabels(0.1 * (n % 5), -0.1 * (n % 3)))
        for n in range(2 * songs)
    ]


@pytest.fixture(scope="module")
def material() -> Material:
    random = np.random.default_rng(0)
    clips = {
        "emotify": clips_of("emotify", 9) + clips_of("emotify", 3, EVALUATION),
        "emomusic": clips_of("emomusic", 2, EVALUATION),
    }
    rows = {
        name: [random.normal(-40, 10, (10, PARAMETERS.feature_count)).astype(np.float32) for _ in some]
        for name, some in clips.items()
    }
    return Material(clips, rows, None, PARAMETERS)


shares = st.fractions(Fraction(1, 100), 1)


@given(st.integers(1, 40), st.tuples(shares, shares).map(sorted), st.integers(0, 5))
def test_smaller_shares_are_parts_of_larger_ones(songs: int, both: list[Fraction], seed: int) -> None:
    clips = {"emotify": clips_of("emotify", songs), "4q": clips_of("4q", songs), "emopia": []}
    small, large = (draw_groups(clips, share, seed) for share in both)
    assert small.keys() == large.keys() == {"emotify", "4q"}
    for name in small:
        assert small[name] <= large[name]
        assert both[0] * songs <= len(small[name]) < both[0] * songs + 1
    assert len(draw_groups(clips, Fraction(1), seed)["4q"]) == songs


def test_another_seed_draws_other_songs() -> None:
    clips = {"emotify": clips_of("emotify", 40)}
    assert len({draw_groups(clips, Fraction(1, 4), seed)["emotify"] for seed in range(4)}) == 4


def test_what_is_measured_is_not_trained_on(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    really, seen = training.learning_curve.train, []

    def train(samplers: Any, *arguments: Any, **named: Any) -> Any:
        seen.append({tuple(row) for row in samplers["emotify"].features.tolist()})
        return really(samplers, *arguments, **named)

    monkeypatch.setattr(training.learning_curve, "train", train)
    steps: list[int] = []
    points = learning_curve(material, NETWORK, RECIPE, advanced=steps.append)
    assert sum(steps) == len(SHARES) * RECIPE.steps
    assert [point.songs for point in points] == [{"emotify": n} for n in (2, 3, 5, 9)]
    held_out = {
        tuple(row)
        for clip, rows in zip(material.clips["emotify"], material.rows["emotify"], strict=True)
        if clip.part == EVALUATION
        for row in rows.tolist()
    }
    assert [len(rows) for rows in seen] == [10 * 2 * n for n in (2, 3, 5, 9)]
    for one, after in zip(seen, [*seen[1:], seen[-1]], strict=True):
        assert one <= after
        assert not one & held_out
    assert [(one.dataset, one.clips) for one in points[0].figures] == [("emotify", 6), ("emomusic", 4)]


def test_processes_find_the_same(material: Material) -> None:
    alone, together = (learning_curve(material, NETWORK, RECIPE, jobs=jobs) for jobs in (1, 2))
    assert [point.to_json() for point in alone] == [point.to_json() for point in together]


def test_tables_and_panels_are_by_data_set(material: Material) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    points = learning_curve(material, NETWORK, RECIPE)
    emotify, emomusic = learning_layouts(points)
    assert [row[:3] for row in emotify.sections[0].rows] == [
        [share, str(n), str(n)] for share, n in (("1/8", 2), ("1/4", 3), ("1/2", 5), ("1", 9))
    ]
    assert emotify.columns[3:5] == ["r, valence", "r, arousal"]
    assert {row[1] for row in emomusic.sections[0].rows} == {"–"}
    panels = learning_figure(points, "model").axes
    valence = panels[0].lines[0]
    np.testing.assert_array_equal(valence.get_xdata(), [2, 3, 5, 9])
    np.testing.assert_allclose(valence.get_ydata(), [p.figures[0].find("r", "valence").value for p in points])
    assert panels[0].get_xscale() == "log"
    assert panels[1].get_xlabel() == "songs of all data sets"
