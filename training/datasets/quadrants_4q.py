"""4Q: recordings in many genres, each in one quadrant of the valence-arousal plane.

What it is
    720 of the 900 thirty-second clips: quadrants from experts' mood tags, checked by listeners.
Licence
    For research.
Citation
    Panda, Malheiro, Paiva, "Novel audio features for music emotion recognition", IEEE Transactions on Affective
    Computing 2018.
Expected tree
    ::

        4q/audio/CLIP.opus
        4q/labels.csv                       clip, valence, arousal (signs), artist, …
Parts
    One fold in five, by the hash of the artist's name (of the clip's where no artist is named), is held out for
    evaluation.
"""

from __future__ import annotations

from pathlib import Path

from training.clips import Clip, SignLabels, part_of
from training.tables import existing, read_table

NAME = "4q"
LABEL_FILES = ("labels.csv",)


def load(folder: Path) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder ``4q``.

    Returns
    -------
    list of Clip
        With `SignLabels`.

    Raises
    ------
    DataError
        If the table is malformed or a file is missing.
    """
    clips = []
    for row in read_table(folder / "labels.csv", ["clip", "valence", "arousal", "artist"]):
        name = row.text("clip")
        artist = row.cells["artist"].strip() or name
        source = existing(folder / "audio" / f"{name}.opus", row)
        labels = SignLabels(row.sign("valence"), row.sign("arousal"))
        clips.append(Clip(NAME, name, artist, source, part_of(artist), labels))
    return clips
