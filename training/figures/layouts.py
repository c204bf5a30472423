"""Figures as tables and as JSON.

A `Layout` is for the terminal (``to_rich``) and for documents (``to_markdown``) alike. Valence comes before arousal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.figures.calibration import Coverage
from training.figures.comparison import SetComparison
from training.figures.genres import GenreFigures
from training.figures.goals import COVERAGE_TOLERANCES, GOALS, target_of
from training.figures.lags import FiguresByLag
from training.figures.measuring import DIMENSIONS, Figure, SetFigures
from training.figures.properties import PropertyFigures
from training.paper.layout import DASH, Layout, Section, number

_INTERVALS = "Square brackets: 95 % intervals, bootstrapped over songs (4q: over artists)."
_CONSTANT = (
    "The best constant is the mean of all the labels; the oracle knows each song's mean, and nothing of how it changes."
)
_PEOPLE = "People: one half of the raters against the other half."


def goals_layout(
    results: Sequence[SetFigures],
    allowance: float = 0.0,
    title: str = "Figures and goals",
    name_missing: bool = True,
    remarks: Sequence[str] = (),
) -> Layout:
    """Lay out figures beside goals and yardsticks.

    Parameters
    ----------
    results : sequence of SetFigures
    allowance : float
        How much worse than its goal a figure may be and still count as reaching it.
    title : str
    name_missing : bool
        Whether a note names the goals that there is no figure for.
    remarks : sequence of str
        More notes.

    Returns
    -------
    Layout
    """
    sections = [Section(one.name, [_goal_row(one, figure, allowance) for figure in one.figures]) for one in results]
    notes = [_INTERVALS, _CONSTANT, _PEOPLE, *remarks]
    if allowance:
        notes.append(f"A goal counts as reached by what is within {allowance:g} of it.")
    if name_missing and (missing := unmeasured_goals(results)):
        notes.append(f"Goals without a figure here: {', '.join(missing)}.")
    columns = ["", "measured", "best constant", "oracle", "people", "goal", "reached"]
    return Layout(title, columns, sections, notes)


def unmeasured_goals(results: Sequence[SetFigures]) -> list[str]:
    """Return the goals that none of the results has a figure for, in words."""
    measured = {(one.dataset, figure.metric) for one in results for figure in one.figures}
    of_any = {metric for _, metric in measured}
    missing = []
    for goal in GOALS:
        if goal.dataset is None and goal.metric not in of_any:
            missing.append(goal.metric)
        elif goal.dataset is not None and (goal.dataset, goal.metric) not in measured:
            missing.append(f"{goal.dataset} {goal.metric}")
    return missing


def _goal_row(result: SetFigures, figure: Figure, allowance: float) -> list[str]:
    cells = [figure.name, _with_interval(figure.value, figure.interval)]
    cells += [_optional(figure.constant), _optional(figure.song_means)]
    target = target_of(result.dataset, figure)
    if target is None:
        return [*cells, DASH, DASH, DASH]
    goal = f"{'≤' if target.lower_is_better else '≥'} {number(target.value)}"
    return [*cells, _optional(target.people), goal, "yes" if target.reached(figure.value, allowance) else "no"]


def coverage_layout(found: Sequence[Coverage]) -> Layout:
    """Lay out how many labels lie within the published intervals, beside what is asked of them."""
    sections: dict[str, list[list[str]]] = {}
    for one in found:
        tolerance = COVERAGE_TOLERANCES.get(one.level)
        asked, reached = DASH, DASH
        if tolerance is not None:
            asked = f"{one.level:.0%} ± {100 * tolerance:.0f}"
            reached = "yes" if abs(one.share - one.level) <= tolerance + 1e-12 else "no"
        ends = "" if one.interval is None else f" [{one.interval[0]:.1%}, {one.interval[1]:.1%}]"
        title = f"{one.dataset} ({one.clips} clips, {one.kind} labels)"
        row = [f"{one.level:.0%} interval, {one.dimension}", f"{one.share:.1%}{ends}", asked, reached]
        sections.setdefault(title, []).append(row)
    return Layout(
        "Coverage of the published intervals",
        ["", "labels within", "asked", "reached"],
        [Section(title, rows) for title, rows in sections.items()],
        ["Time-continuous labels: share of the labelled frames; static labels: share of the clips.", _INTERVALS],
    )


def comparison_layout(compared: Sequence[SetComparison], ours: str, theirs: str) -> Layout:
    """Lay out two predictors, who have the names `ours` and `theirs`, and which is ahead."""
    sections = []
    for one in compared:
        rows = []
        for d in one.differences:
            values = number(d.ours.value), number(d.theirs.value), _with_interval(d.difference, d.interval, signed=True)
            rows.append([d.ours.name, *values, d.verdict])
        sections.append(Section(one.ours.name, rows))
    notes = [
        "Difference: of the first less the second, with its paired 95 % interval over songs (4q: over artists).",
        f"Ahead, behind: {ours} is better or worse, and the interval excludes zero.",
    ]
    return Layout(f"{ours} and {theirs}", ["", ours, theirs, "difference", ours + " is"], sections, notes)


def lag_layouts(curves: Mapping[str, FiguresByLag]) -> list[Layout]:
    """Lay out figures against lag: a table per data set, a section per curve, a row per lag."""
    tables: dict[str, tuple[list[str], dict[str, list[list[str]]]]] = {}
    for curve, by_lag in curves.items():
        for lag, results in by_lag.items():
            for one in results:
                title = f"{one.name}: figures against lag"
                columns, sections = tables.setdefault(title, (["lag"], {}))
                columns[1:] = [figure.name for figure in one.figures]
                sections.setdefault(curve, []).append([f"{lag:g} s", *(number(f.value) for f in one.figures)])
    return [
        Layout(title, columns, [Section(curve, rows) for curve, rows in sections.items()])
        for title, (columns, sections) in tables.items()
    ]


def genre_layout(genres: Sequence[GenreFigures]) -> Layout:
    """Lay out errors by genre, those of a data set together."""
    sections: dict[str, list[list[str]]] = {}
    for genre in genres:
        figures = [genre.measured.find(genre.measured.figures[0].metric, dimension) for dimension in DIMENSIONS]
        cells = [_with_interval(figure.value, figure.interval) for figure in figures]
        title = f"{genre.measured.dataset}: {figures[0].metric}"
        sections.setdefault(title, []).append([genre.genre, str(genre.measured.clips), *cells])
    return Layout(
        "By genre",
        ["genre", "clips", *DIMENSIONS],
        [Section(title, rows) for title, rows in sections.items()],
        ["A clip of several genres counts in each.", _INTERVALS],
    )


def property_layout(found: Sequence[PropertyFigures]) -> Layout:
    """Lay out errors by what the music is like, those of a data set and a property together."""
    sections: dict[str, list[list[str]]] = {}
    for one in found:
        title = f"{one.dataset}: {one.figures[0].metric} by {one.property}"
        cells = [_with_interval(figure.value, figure.interval) for figure in one.figures]
        sections.setdefault(title, []).append([one.group, f"{one.count} {one.unit}", *cells])
    return Layout(
        "Where the error is",
        ["", "number", *DIMENSIONS],
        [Section(title, rows) for title, rows in sections.items()],
        ["Thirds of the data set's clips; mode: whether a major or a minor key fits the clip best.", _INTERVALS],
    )


def markdown(tables: Sequence[Layout]) -> str:
    """Return tables as Markdown, one after the other."""
    return "\n".join(table.to_markdown() for table in tables)


def figures_json(results: Sequence[SetFigures], allowance: float = 0.0) -> dict[str, Any]:
    """Return figures as a JSON object: by data set, then by kind of labels; with goals where there are any."""
    content: dict[str, Any] = {}
    for one in results:
        of_set = one.to_json()
        for figure in one.figures:
            if (target := target_of(one.dataset, figure)) is not None:
                place = of_set["metrics"][figure.metric]
                place = place[figure.dimension] if figure.dimension else place
                place["goal"] = target.value
                place["reached"] = target.reached(figure.value, allowance)
        content.setdefault(one.dataset, {})[one.kind] = of_set
    return content


def comparison_json(compared: Sequence[SetComparison]) -> dict[str, Any]:
    """Return a comparison as a JSON object: by data set, kind of labels and figure."""
    content: dict[str, Any] = {}
    for one in compared:
        differences = {d.ours.name: d.to_json() for d in one.differences}
        content.setdefault(one.ours.dataset, {})[one.ours.kind] = differences
    return content


def _with_interval(value: float, interval: tuple[float, float] | None, signed: bool = False) -> str:
    def text(figure: float) -> str:
        return f"{figure:+.3f}" if signed else number(figure)

    return text(value) if interval is None else f"{text(value)} [{text(interval[0])}, {text(interval[1])}]"


def _optional(value: float | None) -> str:
    return DASH if value is None else number(value)
