"""The paper's tables, its figures beside ours: for the terminal, and as ``tables.md``.

Every block of RMSE ends with the mean predictor and the song-mean oracle: between knowing nothing of the songs and
knowing their means. Columns go valence, arousal, average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from training.paper.layout import DASH, Layout, Section, number
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.published import TABLE_1, TABLE_2, Published
from training.paper.results import (
    SYSTEM_NAMES,
    RunResult,
    Spread,
    best_configuration,
    select,
    spreads,
    validation_error,
)
from training.paper.scores import Figure, Scores, Yardsticks
from training.tables import DataError

MEAN_PREDICTOR = "mean predictor"
SONG_MEAN_ORACLE = "song-mean oracle"

FEATURE_NAMES = {"opensmile": "the task's baseline features (openSMILE)", "logmel": "log-mel bands"}

_YARDSTICK_NOTE = (
    "The mean predictor always says the mean of the development songs' labels; the song-mean oracle knows the mean of "
    "each song's labels, and nothing of how they change."
)
_SPREAD_NOTE = "Mean ± standard deviation over the runs."
_PAPER_NOTE = (
    "The paper's figures stand beside both ways of averaging its evaluation songs, since which of them it used is not "
    "known here."
)
_PATTERN_NOTE = (
    "The paper's figures are of other songs, those of MediaEval 2015; they stand here for their pattern, not as a "
    "comparison."
)

_Part = Callable[[RunResult], Scores]
_Choice = Callable[[Scores], Figure]


def table_1(
    runs: Sequence[RunResult],
    features: str,
    yardsticks: Yardsticks,
    validation_yardsticks: Yardsticks | None = None,
    papers_songs: bool = True,
) -> Layout:
    """Lay out table 1: the CRNN by sequence length, on one kind of features.

    Parameters
    ----------
    runs : sequence of RunResult
        Of any system; those of the CRNN on `features` are taken.
    features : str
        ``opensmile`` for (a), ``logmel`` for (b).
    yardsticks : Yardsticks
        Of the evaluation songs.
    validation_yardsticks : Yardsticks, optional
        Of the validation songs.
    papers_songs : bool
        Whether the evaluation songs are the paper's.

    Returns
    -------
    Layout
    """
    blocks: list[tuple[str, Yardsticks | None, _Part, _Choice, bool]] = [
        ("evaluation, averaged over songs", yardsticks, _evaluation, _song_averaged, True),
        ("evaluation, pooled over frames", yardsticks, _evaluation, _pooled, True),
        ("validation, averaged over songs", validation_yardsticks, _validation, _song_averaged, False),
    ]
    sections = []
    for title, known, part, figure, published in blocks:
        rows = []
        for length in SEQUENCE_LENGTHS:
            chosen = select(runs, "crnn", features, length)
            paper = TABLE_1[features][length].average if published else None
            cells = _spread_cells(chosen, part, figure)
            rows.append([str(length), *cells, _optional(paper), str(len(chosen))])
        rows.extend([*cells, DASH, DASH] for cells in _yardstick_rows(known, figure))
        sections.append(Section(title, rows))
    letter = {"opensmile": "a", "logmel": "b"}[features]
    return Layout(
        f"Table 1({letter}): RMSE of the CRNN, {FEATURE_NAMES[features]}",
        ["sequence length (frames)", "valence", "arousal", "average", "paper: average", "runs"],
        sections,
        [
            _SPREAD_NOTE,
            _YARDSTICK_NOTE,
            _PAPER_NOTE if papers_songs else _PATTERN_NOTE,
            "Validation songs are development songs that were held out; early stopping has seen them.",
        ],
    )


def table_2(runs: Sequence[RunResult], yardsticks: Yardsticks, papers_songs: bool = True) -> Layout:
    """Lay out table 2: every system at its best, where the validation songs say what is best.

    Parameters
    ----------
    runs : sequence of RunResult
    yardsticks : Yardsticks
        Of the evaluation songs.
    papers_songs : bool
        Whether these are the paper's.

    Returns
    -------
    Layout
    """
    blocks: list[tuple[str, _Choice]] = [
        ("evaluation, averaged over songs", _song_averaged),
        ("evaluation, pooled over frames", _pooled),
    ]
    sections = []
    for title, figure in blocks:
        rows = []
        for system, name in SYSTEM_NAMES.items():
            best = best_configuration(runs, system)
            cells = _spread_cells(best, _evaluation, figure)
            parameters = f"{best[0].parameter_count:,}" if best else DASH
            published = _published_cell(TABLE_2[system]) if system in TABLE_2 else DASH
            rows.append([_described(name, best), *cells, parameters, str(len(best)), published])
        rows.extend([*cells, *[DASH] * 3] for cells in _yardstick_rows(yardsticks, figure))
        sections.append(Section(title, rows))
    return Layout(
        "Table 2: RMSE of the systems",
        [
            *("system", "valence", "arousal", "average", "parameters", "runs"),
            "paper: valence, arousal, average; parameters",
        ],
        sections,
        [
            "Each system with the features and the sequence length that did best on the validation songs.",
            _SPREAD_NOTE,
            _YARDSTICK_NOTE,
            _PAPER_NOTE if papers_songs else _PATTERN_NOTE,
            "The ensemble is not in the paper.",
        ],
    )


def agreement(runs: Sequence[RunResult], yardsticks: Yardsticks) -> Layout:
    """Lay out how well the evaluation songs are estimated, with 95 % intervals over songs.

    Parameters
    ----------
    runs : sequence of RunResult
        Of every system's best configuration, the run that is best on the validation songs is shown.
    yardsticks : Yardsticks
        Of the evaluation songs.

    Returns
    -------
    Layout
    """
    scored = []
    for system, name in SYSTEM_NAMES.items():
        best = best_configuration(runs, system)
        if best:
            run = min(best, key=validation_error)
            scored.append((f"{_described(name, best)}, seed {run.seed}", run.evaluation))
    scored += [(MEAN_PREDICTOR, yardsticks.mean_predictor), (SONG_MEAN_ORACLE, yardsticks.song_mean_oracle)]
    metrics: list[tuple[str, _Choice]] = [
        ("CCC", lambda scores: scores.ccc),
        ("Pearson's r", lambda scores: scores.pearson_r),
        ("within-song r", lambda scores: scores.within_song_r),
        ("RMSE, averaged over songs", _song_averaged),
        ("RMSE, pooled over frames", _pooled),
    ]
    sections = [
        Section(title, [[name, *_interval_cells(figure(scores))] for name, scores in scored])
        for title, figure in metrics
    ]
    return Layout(
        "Agreement on the evaluation songs",
        ["system", "valence", "arousal", "average"],
        sections,
        [
            "In brackets the 95 % bootstrap interval over songs.",
            "Of every system's best configuration, the run that is best on the validation songs.",
            "CCC and r are taken over all frames; within-song r after each song's means are taken away.",
        ],
    )


def write_markdown(path: Path, tables: Sequence[Layout]) -> None:
    """Write tables as one markdown file.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    text = "\n".join(["# The paper's tables, measured again\n", *(table.to_markdown() for table in tables)])
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f'cannot write "{path}": {error.strerror or error}') from error


def _evaluation(run: RunResult) -> Scores:
    return run.evaluation


def _validation(run: RunResult) -> Scores:
    return run.validation


def _song_averaged(scores: Scores) -> Figure:
    return scores.song_averaged_rmse


def _pooled(scores: Scores) -> Figure:
    return scores.pooled_rmse


def _spread_cells(runs: Sequence[RunResult], part: _Part, figure: _Choice) -> list[str]:
    if not runs:
        return [DASH] * 3
    return [_spread(spread) for spread in spreads([figure(part(run)) for run in runs])]


def _spread(spread: Spread) -> str:
    return number(spread.mean) + ("" if spread.deviation is None else f" ± {number(spread.deviation)}")


def _yardstick_rows(yardsticks: Yardsticks | None, figure: _Choice) -> list[list[str]]:
    if yardsticks is None:
        return []
    rows = []
    for name, scores in ((MEAN_PREDICTOR, yardsticks.mean_predictor), (SONG_MEAN_ORACLE, yardsticks.song_mean_oracle)):
        value = figure(scores)
        rows.append([name, number(value.valence), number(value.arousal), number(value.average)])
    return rows


def _interval_cells(figure: Figure) -> list[str]:
    values = [number(figure.valence), number(figure.arousal)]
    if figure.intervals is not None:
        ends = [f"[{number(low)}, {number(high)}]" for low, high in figure.intervals]
        values = [f"{value} {interval}" for value, interval in zip(values, ends, strict=True)]
    return [*values, number(figure.average)]


def _described(name: str, best: Sequence[RunResult]) -> str:
    if not best:
        return name
    length = best[0].sequence_length
    return f"{name}, {best[0].features}" + ("" if length is None else f", {length} frames")


def _optional(value: float | None) -> str:
    return DASH if value is None else number(value)


def _published_cell(paper: Published) -> str:
    figures = ", ".join(_optional(value) for value in (paper.valence, paper.arousal, paper.average))
    if paper.parameters is None:
        return figures
    count, unit = (paper.parameters / 1e6, "M") if paper.parameters >= 1_000_000 else (paper.parameters / 1e3, "k")
    return f"{figures}; {count:g} {unit}"
