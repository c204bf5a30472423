"""The command `moodring reproduce`: the runs behind the paper's tables, in parallel, then the tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from training.datasets.deam_splits import FULL_SONGS
from training.paper import plots
from training.paper.configuration import Configuration, configure
from training.paper.material import Request, has_material, read_division, read_labels
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.results import SYSTEM_NAMES, RunResult, best_configuration, validation_error
from training.paper.runs import Outcome, Run
from training.paper.scores import Yardsticks, mean_label, yardsticks
from training.paper.series import perform_all
from training.paper.songs import Division, hold_out
from training.paper.tables import agreement, table_1, table_2, write_markdown
from training.tables import DataError

TABLE_1_FEATURES = {"1a": "opensmile", "1b": "logmel"}


def plan(table: str, runs: int, seed: int, choices: Mapping[str, Any], table_2_features: str) -> list[Run]:
    """Return the runs that a table needs.

    Parameters
    ----------
    table : str
        One of `training.paper.names.TABLES`.
    runs : int
        Initialisations of each.
    seed : int
        Of the first; the others follow.
    choices : mapping
        Of `Configuration`, where they are to differ from the paper's.
    table_2_features : str
        What the systems of table 2 are trained on; the paper: ``opensmile``.

    Returns
    -------
    list of Run
        Each once, in the order of the tables.
    """
    wanted: list[dict[str, Any]] = []
    for name, features in (*TABLE_1_FEATURES.items(), ("2", table_2_features)):
        if table in (name, "all"):
            wanted += [
                {"system": "crnn", "features": features, "sequence_length": length} for length in SEQUENCE_LENGTHS
            ]
    if table in ("2", "all"):
        others = ("crnn-nb", "ensemble", "dblstm-fusion")
        wanted += [{"system": system, "features": table_2_features} for system in others]
    configurations = {configure({**choices, **own}): None for own in wanted}
    return [Run(configuration, seed + number) for configuration in configurations for number in range(runs)]


def reproduce(
    request: Request,
    output: Path,
    table: str = "all",
    runs: int = 5,
    seed: int = 0,
    choices: Mapping[str, Any] | None = None,
    table_2_features: str = "opensmile",
) -> None:
    """Train what the paper's tables show, print them beside the paper's figures, and write them with their plots.

    What an earlier call finished in the same folder is not done again.

    Parameters
    ----------
    request : Request
    output : Path
        Folder for the tables, the plots and the runs.
    table, runs, seed, choices, table_2_features
        See `plan`.

    Raises
    ------
    MoodringError
        If the data are missing or malformed, a package is missing, or something cannot be written.
    """
    console = Console()
    plots.require_matplotlib()
    labels = read_labels(request, console)
    folder = output / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'cannot make the folder "{folder}": {error.strerror or error}') from error
    outcomes: list[Outcome] = []
    divisions: dict[str, Division] = {}
    todo = plan(table, runs, seed, choices or {}, table_2_features)
    for features in dict.fromkeys(run.configuration.features for run in todo):
        if not has_material(request, features):
            console.print(
                f'"{request.folder}" has nothing for {features} features: these systems are not trained', markup=False
            )
            continue
        divisions[features] = read_division(request, features, console)
        some = [run for run in todo if run.configuration.features == features]
        outcomes += perform_all(some, divisions[features], folder, request.jobs, console)
    share = (choices or {}).get("validation_share", Configuration.validation_share)
    results = [outcome.result for outcome in outcomes]
    measured = [divisions[f] for f in (table_2_features, *divisions) if f in divisions] or [labels]
    _report(console, output, table, results, divisions, measured[0], share)
    if not outcomes:
        console.print(
            f'nothing was trained: "{request.folder}" holds labels, but no audio and no features', markup=False
        )
    if any(_frames(division) != _frames(measured[0]) for division in measured):
        console.print("not all features are there of all evaluation songs: tables 1(a) and 1(b) measure different ones")
    for outcome, division in _best(outcomes, divisions):
        _draw(output, outcome, division)
    if outcomes:
        figure = plots.sequence_length_figure(results, _known(measured[0]))
        plots.save_figure(figure, output / "sequence-length")
    console.print(f"wrote {output}", soft_wrap=True, highlight=False, markup=False)


def _report(
    console: Console,
    output: Path,
    table: str,
    results: Sequence[RunResult],
    divisions: Mapping[str, Division],
    otherwise: Division,
    validation_share: float,
) -> None:
    layouts = []
    for name, features in TABLE_1_FEATURES.items():
        if table not in (name, "all"):
            continue
        # the very songs and frames that the systems were measured on: fewer than the labels, if music is missing
        division = divisions.get(features, otherwise)
        validation = None
        if divisions:
            validation = _known(Division(*hold_out(division.development, validation_share)))
        layouts.append(table_1(results, features, _known(division), validation, _papers(division)))
    known = _known(otherwise)
    if table in ("2", "all"):
        layouts.append(table_2(results, known, _papers(otherwise)))
    layouts.append(agreement(results, known))
    for layout in layouts:
        console.print(layout.to_rich())
    write_markdown(output / "tables.md", layouts)


def _known(division: Division) -> Yardsticks:
    return yardsticks([s.labels for s in division.development], [s.labels for s in division.evaluation])


def _papers(division: Division) -> bool:
    return {song.name for song in division.evaluation} == FULL_SONGS


def _frames(division: Division) -> list[tuple[str, int]]:
    return [(song.name, len(song.labels)) for song in division.evaluation]


def _best(outcomes: Sequence[Outcome], divisions: Mapping[str, Division]) -> list[tuple[Outcome, Division]]:
    """Return, for every system, the run that `agreement` shows."""
    by_result = {id(outcome.result): outcome for outcome in outcomes}
    best = []
    for system in SYSTEM_NAMES:
        results = best_configuration([outcome.result for outcome in outcomes], system)
        if results:
            outcome = by_result[id(min(results, key=validation_error))]
            best.append((outcome, divisions[outcome.result.features]))
    return best


def _draw(output: Path, outcome: Outcome, division: Division) -> None:
    songs = division.evaluation
    mean = mean_label([song.labels for song in division.development])
    names = [song.name for song in songs]
    labels = [song.labels for song in songs]
    first = [song.first_position for song in songs]
    title = f"{SYSTEM_NAMES[outcome.result.system]} ({outcome.run.title})"
    curves = plots.curves_figure(title, names, labels, outcome.estimates, mean, first)
    plots.save_figure(curves, output / f"{outcome.result.system}-curves")
    errors = plots.song_errors_figure(title, names, labels, outcome.estimates, mean)
    plots.save_figure(errors, output / f"{outcome.result.system}-songs")
