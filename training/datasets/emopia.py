"""EMOPIA: pop piano, each clip in one quadrant of the valence-arousal plane.

What it is
    990 clips of about 40 s of 355 songs, transcribed to MIDI, with the quadrant that four annotators agreed on.
Licence
    CC BY-NC-SA, for research.
Citation
    Hung, Ching, Doh, Kim, Nam, Yang, "EMOPIA: a multi-modal pop piano dataset for emotion recognition and
    emotion-based music generation", ISMIR 2021.
Expected tree
    ::

        emopia/midi/CLIP.mid
        emopia/labels.csv                   clip, song, valence, arousal (signs), set (development, evaluation)
Parts
    The publishers' split by song, as ``labels.csv`` says.
"""

from __future__ import annotations

from pathlib import Path

from training.clips import DEVELOPMENT, EVALUATION, Clip, SignLabels
from training.tables import existing, read_table

NAME = "emopia"
LABEL_FILES = ("labels.csv",)


def load(folder: Path) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder ``emopia``.

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
    for row in read_table(folder / "labels.csv", ["clip", "song", "valence", "arousal", "set"]):
        name, part = row.text("clip"), row.text("set")
        if part not in (DEVELOPMENT, EVALUATION):
            raise row.error(f"column set must be {DEVELOPMENT} or {EVALUATION}, not {part[:40]!r}")
        source = existing(folder / "midi" / f"{name}.mid", row)
        labels = SignLabels(row.sign("valence"), row.sign("arousal"))
        clips.append(Clip(NAME, name, row.text("song"), source, part, labels))
    return clips
