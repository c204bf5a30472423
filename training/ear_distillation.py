"""From labelled and unlabelled music to the small ear of the default model: musicnn is the teacher.

No label is used, so that any music helps. What musicnn says of a frame it says late, because its convolutions look
ahead and its last layer pools over three seconds; the student is taught what is said when the frames that it hears lie
in the middle of what is pooled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from model.distilled_ear import DistilledEarParameters
from model.ear import COLUMNS, MEL_BANDS, Ear
from model.ears import DistilledListener
from training.air_features import AirPathOfEach, ThroughAir
from training.audio import SOUND_FONT
from training.clips import DEVELOPMENT, Clip, StaticLabels
from training.distillation import DistillationSettings, distil
from training.extractors import EarExtractor, SpectrogramExtractor
from training.feature_cache import ExtractorCache
from training.kept_ears import ear_path, keep_ear, read_ear
from training.tables import DataError

UNLABELLED = "unlabelled music"
_TEACHER_DELAY = 4
"""Frames by which what musicnn says of a frame comes late."""


def unlabelled_clips(folder: Path | None) -> list[Clip]:
    """Return all audio files below a folder, in the order of their paths; none without a folder.

    Raises
    ------
    DataError
        If the folder is missing or has no audio.
    """
    if folder is None:
        return []
    formats = {f".{name.lower()}" for name in soundfile.available_formats()} | {".opus", ".mid", ".midi"}
    sources = sorted(path for path in folder.rglob("*") if path.suffix.lower() in formats and path.is_file())
    if not sources:
        raise DataError(f'"{folder}" has no audio files')
    labels = StaticLabels(0.0, 0.0)
    return [Clip(UNLABELLED, str(path.relative_to(folder)), str(path), path, DEVELOPMENT, labels) for path in sources]


def unlabelled_notes(clips: Sequence[Clip]) -> dict[str, Any]:
    """Note how much music without labels there is, and the SHA-256 of all files, one after the other; {} for none."""
    if not clips:
        return {}
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(clip.source.read_bytes())
    return {"unlabelled": {"clips": len(clips), "sha256": digest.hexdigest()}}


def lesson_caches(folder: Path, teacher: Ear, sound_font: Path = SOUND_FONT) -> tuple[ExtractorCache, ExtractorCache]:
    """Return where the spectrograms that ears look at are kept, and what a teacher says of them."""
    return (
        ExtractorCache(folder, SpectrogramExtractor(teacher.frontend), sound_font),
        ExtractorCache(folder, EarExtractor(teacher), sound_font),
    )


def room_spectrogram_cache(
    folder: Path, teacher: Ear, rooms: AirPathOfEach, sound_font: Path = SOUND_FONT
) -> ExtractorCache:
    """Return where the spectrograms are kept of what is heard in rooms."""
    return ExtractorCache(folder, ThroughAir(SpectrogramExtractor(teacher.frontend), rooms), sound_font)


def distil_ear(
    clips: Sequence[Clip],
    folder: Path,
    teacher: Ear,
    settings: DistillationSettings | None = None,
    parameters: DistilledEarParameters | None = None,
    *,
    unlabelled: Sequence[Clip] = (),
    rooms: AirPathOfEach | None = None,
    sound_font: Path = SOUND_FONT,
    jobs: int = 1,
    seed: int = 0,
    heard: Callable[[int], None] = lambda count: None,
    stepped: Callable[[int], None] = lambda step: None,
) -> DistilledListener:
    """Teach a small ear to say what musicnn says, or take the one that was taught the same before.

    Parameters
    ----------
    clips : sequence of Clip
        Music; labels are not looked at.
    folder : Path
        Of the feature cache, where the ear is kept as well.
    teacher : Ear
        Whom it learns from: musicnn's, of which it is known how late it speaks.
    settings : DistillationSettings, optional
        How; the defaults if not given.
    parameters : DistilledEarParameters, optional
        The ear's sizes; the defaults if not given.
    unlabelled : sequence of Clip
        More music, which is heard as it is.
    rooms : AirPathOfEach, optional
        Rooms in which the student hears the clips as well; what it is to say there is what the teacher says of the
        clips as they are.
    sound_font : Path
        What MIDI is rendered with.
    jobs : int
        Processes that compute what is not in the cache.
    seed : int
        Everything random follows from it.
    heard : callable
        Called with the number of clips that became ready, twice for every clip, and once more with rooms for those
        that are heard there.
    stepped : callable
        Called after every step of training with its number; of the last one only, if it was taught before.

    Returns
    -------
    DistilledListener

    Raises
    ------
    DataError
        If there are no clips, a file cannot be decoded, or the cache cannot be written.
    """
    if not clips:
        raise DataError("there is no music to distil an ear from")
    spectrogram_cache, teacher_cache = lesson_caches(folder, teacher, sound_font)
    everything = [*clips, *unlabelled]
    looks = [spectrogram_cache]
    needed: list[tuple[ExtractorCache, Sequence[Clip]]] = [(spectrogram_cache, everything), (teacher_cache, everything)]
    if rooms is not None:
        looks.append(room_spectrogram_cache(folder, teacher, rooms, sound_font))
        needed.append((looks[1], clips))
    for cache, of_cache in needed:
        for error in cache.fill(of_cache, jobs, heard).values():
            raise error
    sizes, settings = parameters or DistilledEarParameters(), settings or DistillationSettings()
    lessons = [(clip, looks) for clip in clips] + [(clip, [spectrogram_cache]) for clip in unlabelled]
    learned_from = (cache.path(clip.source) for clip, ways in lessons for cache in (*ways, teacher_cache))
    path = ear_path(folder, learned_from, settings, sizes, seed)
    if (kept := read_ear(path)) is not None:
        stepped(settings.steps)
        return kept
    delay = max(0, _TEACHER_DELAY - (sizes.span - 1) // 2)
    spectrograms, targets = [], []
    for clip, ways in lessons:
        said = teacher_cache.load(clip.source)
        said = said[np.minimum(np.arange(len(said)) + delay, len(said) - 1)]
        for cache in ways:
            # half precision: all of them are in memory at once
            looked_at = cache.load(clip.source)[: len(said)].astype(np.float16)
            spectrograms.append(looked_at.reshape(-1, COLUMNS, MEL_BANDS))
            targets.append(said[: len(looked_at)])
    student, _ = distil(spectrograms, targets, sizes, settings, seed, lambda step, loss: stepped(step))
    ear = DistilledListener(teacher.frontend, student)
    keep_ear(path, ear)
    return ear
