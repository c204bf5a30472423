"""emomusic: "1000 songs for emotional analysis of music", with time-continuous valence and arousal.

What it is
    Labels at 2 Hz from 15 s to 45 s of 45 s excerpts of songs from the Free Music Archive; the first part of DEAM and
    the source of MediaEval's task.
Licence
    Audio under the Creative Commons licences of its songs; labels for research.
Citation
    Soleymani, Caro, Schmidt, Sha, Yang, "1000 songs for emotional analysis of music", CrowdMM 2013.
Expected tree
    ::

        emomusic/audio/ID.mp3
        emomusic/valence_cont_average.csv, arousal_cont_average.csv     song_id, sample_15000ms, …
Parts
    Songs whose audio is not there are left out. All are for evaluation: nothing is trained on them.
"""

from __future__ import annotations

from pathlib import Path

from training.clips import EVALUATION, Clip
from training.tables import DataError, read_dynamic_labels

NAME = "emomusic"
LABEL_FILES = ("valence_cont_average.csv", "arousal_cont_average.csv")


def load(folder: Path) -> list[Clip]:
    """Load the clips whose audio is there.

    Parameters
    ----------
    folder : Path
        The folder ``emomusic``.

    Returns
    -------
    list of Clip
        With `DynamicLabels`.

    Raises
    ------
    DataError
        If a table is malformed, or there is audio for none of its songs.
    """
    clips = []
    valence, arousal = (folder / name for name in LABEL_FILES)
    for song, (_, labels) in read_dynamic_labels(valence, arousal, "song_id").items():
        source = folder / "audio" / f"{song}.mp3"
        if source.is_file():
            clips.append(Clip(NAME, song, song, source, EVALUATION, labels))
    if not clips:
        raise DataError(f'"{folder / "audio"}" has the audio of none of the songs in "{valence}"')
    return clips
