"""Which ear a network is trained with."""

from __future__ import annotations

from model.checkpoint import load_checkpoint
from model.ear import Ear, build_ear_frontend
from model.errors import MoodringError
from model.musicnn import MusicnnEar

NO_EAR = "none"
MUSICNN = "musicnn"
DISTILLED = "distilled"


def find_ear(name: str) -> Ear | None:
    """Return an ear that there is already.

    Parameters
    ----------
    name : str
        ``none``, ``musicnn``, or a checkpoint whose ear it is (a file, or the name of a bundled one); a ``distilled``
        one is made first, by `training.ear_distillation.distil_ear`.

    Raises
    ------
    MoodringError
        If the package musicnn or librosa is missing, or the checkpoint cannot be read or has no ear.
    """
    if name == NO_EAR:
        return None
    if name == MUSICNN:
        return musicnn_ear()
    ear = load_checkpoint(name).ear
    if ear is None:
        raise MoodringError(
            f'the model "{name}" has no ear; choose {NO_EAR}, {MUSICNN}, {DISTILLED} or a checkpoint with one'
        )
    return ear


def musicnn_ear() -> MusicnnEar:
    """Return musicnn's ear.

    Raises
    ------
    MoodringError
        If the package musicnn or librosa is missing.
    """
    try:
        return MusicnnEar(build_ear_frontend())
    except ImportError as error:
        raise MoodringError("training needs librosa: install moodring[train]") from error
