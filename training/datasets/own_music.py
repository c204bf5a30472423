"""Your own labelled music, in the plainest layout that works.

Expected tree
    ::

        FOLDER/audio/…                      anything that libsndfile reads, or MIDI (.mid, .midi)
        FOLDER/labels.csv                   file, valence, arousal [, group]: one label for the whole file
        FOLDER/valence.csv, arousal.csv     file, sample_500ms, sample_1000ms, …: time-continuous labels

    Either labels.csv or the other two, or all three (then a file stands in one kind only). ``file`` is a path below
    ``audio``; values are in [-1, 1]. ``group`` (of labels.csv; the file if it is not given) names what must not be torn
    apart by the split: the artist or the album.
Parts
    One fold in five, by the hash of the group, is held out for evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.clips import Clip, StaticLabels, part_of
from training.tables import Row, RowError, existing, raise_error, read_dynamic_labels, read_table

NAME = "own music"
LABEL_FILES = ("labels.csv", "valence.csv", "arousal.csv")


def is_layout(folder: Path) -> bool:
    """Tell whether a folder looks like this layout, and not like another one's ``arousal.csv`` and ``valence.csv``."""
    if (folder / "labels.csv").is_file():
        return (folder / "audio").is_dir()
    try:
        with (folder / "valence.csv").open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline().split(",")[0].strip() == "file"
    except OSError:
        return False


def load(folder: Path, refuse: Callable[[RowError], None] = raise_error) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder that holds ``audio`` and the tables.
    refuse : callable
        Called with what is wrong with a file; if it returns, the file is left out.

    Returns
    -------
    list of Clip
        With `StaticLabels` or `DynamicLabels`.

    Raises
    ------
    DataError
        If a table as a whole is malformed; also, unless `refuse` prevents it, if a row is, a file is missing, or one is
        labelled twice.
    """
    clips: list[Clip] = []
    seen: set[str] = set()
    valence, arousal = folder / "valence.csv", folder / "arousal.csv"
    if valence.is_file() or arousal.is_file():
        for name, (row, labels) in read_dynamic_labels(valence, arousal, "file", refuse).items():
            seen.add(name)
            try:
                source = existing(folder / "audio" / name, row)
            except RowError as error:
                refuse(error)
                continue
            clips.append(Clip(NAME, name, name, source, part_of(name), labels))
    if (folder / "labels.csv").is_file():
        for row in read_table(folder / "labels.csv", ["file", "valence", "arousal"], refuse):
            try:
                clips.append(_static_clip(folder, row, seen))
            except RowError as error:
                refuse(error)
    return clips


def _static_clip(folder: Path, row: Row, seen: set[str]) -> Clip:
    name = row.text("file")
    if name in seen:
        raise row.error(f"file {name} is labelled twice")
    seen.add(name)
    group = row.cells.get("group", "").strip() or name
    labels = StaticLabels(row.value("valence"), row.value("arousal"))
    return Clip(NAME, name, group, existing(folder / "audio" / name, row), part_of(group), labels)
