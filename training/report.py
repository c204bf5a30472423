"""Results as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from training.evaluation import Result
from training.files import write_whole


def as_tables(results: Sequence[Result]) -> list[Table]:
    """Return one table per result: a row per predictor, a column per metric, valence before arousal.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of rich.table.Table
    """
    made = []
    for result in results:
        title = f"{result.dataset}: {result.clips} clips, {result.frames} frames, {result.kind} labels"
        table = Table(title=title, title_justify="left", caption="valence / arousal", caption_justify="left")
        table.add_column("")
        metrics = next(iter(result.predictors.values())).keys()
        for metric in metrics:
            table.add_column(metric, justify="right")
        for predictor, figures in result.predictors.items():
            table.add_row(predictor, *(" / ".join(f"{v:.3f}" for v in figures[metric]) for metric in metrics))
        made.append(table)
    return made


def worst_clips(result: Result, count: int) -> Table:
    """Return a table of the clips that are estimated worst."""
    table = Table(title=f"{result.dataset}: worst of {result.clips} clips", title_justify="left")
    table.add_column("clip")
    for heading in ("label", "estimate"):
        table.add_column(heading, justify="right")
    for clip in result.clip_estimates[:count]:
        table.add_row(clip.name, *(f"{v:+.2f} / {a:+.2f}" for v, a in (clip.label, clip.estimate)))
    return table


def as_json(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Return the results as one JSON object: by data set, then by kind of label."""
    content: dict[str, dict[str, Any]] = {}
    for result in results:
        content.setdefault(result.dataset, {})[result.kind] = result.to_json()
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    write_whole(path, f"{json.dumps(content, indent=2)}\n".encode())
