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

from pathlib import Path

from training.clips import Clip, StaticLabels, part_of
from training.tables import existing, read_dynamic_labels, read_table

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


def load(folder: Path) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder that holds ``audio`` and the tables.

    Returns
    -------
    list of Clip
        With `StaticLabels` or `DynamicLabels`.

    Raises
    ------
    DataError
        If a table is malformed, a file is missing, or a file is labelled twice.
    """
    clips: list[Clip] = []
    seen: set[str] = set()
    valence, arousal = folder / "valence.csv", folder / "arousal.csv"
    if valence.is_file() or arousal.is_file():
        for name, (row, labels) in read_dynamic_labels(valence, arousal, "file").items():
            seen.add(name)
            clips.append(Clip(NAME, name, name, existing(folder / "audio" / name, row), part_of(name), labels))
    if (folder / "labels.csv").is_file():
        for row in read_table(folder / "labels.csv", ["file", "valence", "arousal"]):
            name = row.text("file")
            if name in seen:
                raise row.error(f"file {name} is labelled twice")
            seen.add(name)
            group = row.cells.get("group", "").strip() or name
            static = StaticLabels(row.value("valence"), row.value("arousal"))
            clips.append(Clip(NAME, name, group, existing(folder / "audio" / name, row), part_of(group), static))
    return clips
