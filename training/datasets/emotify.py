"""Emotify: recordings in four genres, with weak static labels derived from listeners' votes.

What it is
    340 clips (the middle 40 s) of classical, rock, electronic and pop recordings. 10 to 59 listeners per clip chose
    among the nine GEMS terms; ``va.csv`` holds vote-weighted circumplex coordinates of the terms (weak labels).
Licence
    Audio from Magnatune, CC BY-NC-SA; labels for research.
Citation
    Aljanaki, Wiering, Veltkamp, "Studying emotion induced by music through a crowdsourcing game", Information
    Processing and Management 2016.
Expected tree
    ::

        emotify/audio/CLIP.opus
        emotify/va.csv                      clip, valence, arousal
Parts
    One fold in five, by the hash of the clip's name, is held out for evaluation. The data set names no artists.
"""

from __future__ import annotations

from pathlib import Path

from training.clips import Clip, StaticLabels, part_of
from training.tables import existing, read_table

NAME = "emotify"
LABEL_FILES = ("va.csv",)


def load(folder: Path) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder ``emotify``.

    Returns
    -------
    list of Clip
        With `StaticLabels`.

    Raises
    ------
    DataError
        If the table is malformed or a file is missing.
    """
    clips = []
    for row in read_table(folder / "va.csv", ["clip", "valence", "arousal"]):
        name = row.text("clip")
        source = existing(folder / "audio" / f"{name}.opus", row)
        labels = StaticLabels(row.value("valence"), row.value("arousal"))
        clips.append(Clip(NAME, name, name, source, part_of(name), labels))
    return clips
