"""VGMIDI: piano arrangements of video game music, with time-continuous valence and arousal.

What it is
    160 labelled pieces, 19 s to 6 min, 5 h in all, as MIDI; 28 to 32 raters each, whose mean is the label. Raters
    labelled measures; the curves here are resampled to 2 Hz.
Licence
    The MIDI arrangements belong to their authors; published for research.
Citation
    Ferreira and Whitehead, "Learning to generate music with sentiment", ISMIR 2019.
Expected tree
    ::

        vgmidi/midi/ID.mid
        vgmidi/valence.csv, arousal.csv     song_id, sample_500ms, sample_1000ms, …
        vgmidi/split.csv                    song_id, set (development, evaluation)
Parts
    As ``split.csv`` says: 128 pieces for development, 32 for evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.clips import DEVELOPMENT, EVALUATION, Clip
from training.tables import Row, RowError, existing, raise_error, read_dynamic_labels, read_table

NAME = "vgmidi"
LABEL_FILES = ("valence.csv", "arousal.csv", "split.csv")


def load(folder: Path, refuse: Callable[[RowError], None] = raise_error) -> list[Clip]:
    """Load the clips.

    Parameters
    ----------
    folder : Path
        The folder ``vgmidi``.
    refuse : callable
        Called with what is wrong with a song; if it returns, the song is left out.

    Returns
    -------
    list of Clip
        With `DynamicLabels`.

    Raises
    ------
    DataError
        If a table as a whole is malformed; also, unless `refuse` prevents it, if a row is, or a file is missing.
    """
    parts = {}
    for row in read_table(folder / "split.csv", ["song_id", "set"], refuse):
        try:
            parts[row.text("song_id")] = _part(row)
        except RowError as error:
            refuse(error)
    tables = folder / "valence.csv", folder / "arousal.csv"
    clips = []
    for song, (row, labels) in read_dynamic_labels(*tables, "song_id", refuse).items():
        try:
            if song not in parts:
                raise row.error(f'song {song} is missing from "{folder / "split.csv"}"')
            source = existing(folder / "midi" / f"{song}.mid", row)
        except RowError as error:
            refuse(error)
            continue
        clips.append(Clip(NAME, song, song, source, parts[song], labels))
    return clips


def _part(row: Row) -> str:
    part = row.text("set")
    if part not in (DEVELOPMENT, EVALUATION):
        raise row.error(f"column set must be {DEVELOPMENT} or {EVALUATION}, not {part[:40]!r}")
    return part
