"""From a folder of labelled music to the songs of both parts: labels, features, and what had to be left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from training.audio import SOUND_FONT
from training.clips import DEVELOPMENT, EVALUATION, Clip, DynamicLabels
from training.datasets import deam, own_music, vgmidi
from training.extractors import FrontendExtractor
from training.feature_cache import ExtractorCache, default_folder
from training.opensmile_features import LICENCE, OpensmileExtractor, read_features_csv
from training.paper.songs import FRAME_DURATION, Division, FloatArray, Song
from training.paper.streamable import COLUMNS
from training.tables import DataError, RowError
from training.workspace import progress_bar, training_frontend

_DEAM_FOLDERS = ("DEAM", "deam")
_SHOWN = 20


@dataclass(frozen=True)
class Request:
    """What to read, and how; the attributes are the command line's.

    Attributes
    ----------
    folder : Path
        DEAM as it is unpacked or laid flat, VGMIDI, a folder with one of them by name, or one's own music.
    split : deam.Split
        Songs of DEAM for each part.
    skip_bad : bool
        Go on without the songs that something is wrong with.
    cache : Path, optional
        Folder for features.
    sound_font : Path
        What MIDI is rendered with.
    jobs : int
        Processes that compute features.
    """

    folder: Path
    split: deam.Split
    skip_bad: bool = False
    cache: Path | None = None
    sound_font: Path = SOUND_FONT
    jobs: int = 1


def read_division(request: Request, features: str, console: Console) -> Division:
    """Read the songs of both parts with their features, showing progress.

    Parameters
    ----------
    request : Request
    features : str
        ``logmel`` or ``opensmile``. For DEAM, openSMILE's features come from its own tables where they are there.
    console : Console
        Where progress is shown, and what was left out.

    Returns
    -------
    Division

    Raises
    ------
    DataError
        If the folder holds nothing known, something in it is wrong, or a part has no song.
    MoodringError
        If a package is missing.
    """
    clips = _clips(request, "features" if features == "opensmile" else "audio", console)
    songs: dict[str, Song] = {}
    wrong: list[str] = []
    heard = [clip for clip in clips if not _is_table(clip)]
    cache = _cache(request, features) if heard else None
    if cache is not None:
        _compute(cache, heard, request.jobs, console)
    for clip in clips:
        try:
            songs[clip.name] = _from_table(clip) if cache is None or _is_table(clip) else _from_audio(clip, cache)
        except DataError as error:
            wrong.append(str(error))
    _leave_out(wrong, request, console)
    return _divide(request, clips, songs)


def read_labels(request: Request, console: Console) -> Division:
    """Read the songs' labels alone; their inputs are empty columns.

    Raises
    ------
    DataError
        As `read_division`, but DEAM's audio is not needed.
    """
    clips = _clips(request, "labels", console)
    songs = {}
    for clip in clips:
        assert isinstance(clip.labels, DynamicLabels)
        values = clip.labels.values
        first = float(clip.labels.positions[0])
        songs[clip.name] = Song(clip.name, np.empty((len(values), 0), dtype=np.float32), values, first)
    return _divide(request, clips, songs)


def has_material(request: Request, features: str) -> bool:
    """Tell whether there is anything that such features can come from, beside the labels."""
    folder = _data_set(request.folder)
    if _is_vgmidi(folder) or own_music.is_layout(folder):
        return True  # these are not loaded without their music
    return any(
        path.suffix.lower() in deam.AUDIO_SUFFIXES
        or (features == "opensmile" and path.suffix == ".csv" and path.parent.name == "features")
        for path in folder.rglob("*")
    )


def _clips(request: Request, need: str, console: Console) -> list[Clip]:
    if not request.folder.is_dir():
        raise DataError(f'there is no folder "{request.folder}"')
    folder = _data_set(request.folder)
    if _is_vgmidi(folder) or own_music.is_layout(folder):
        if request.split.lines:
            raise DataError(f'lists of ids are for DEAM; "{folder}" itself says which songs are for what')
        wrong: list[RowError] = []
        load = vgmidi.load if _is_vgmidi(folder) else own_music.load
        clips = load(folder, wrong.append)
        _leave_out([str(error) for error in wrong], request, console)
        if not all(isinstance(clip.labels, DynamicLabels) for clip in clips):
            raise DataError(f'"{folder}": the paper\'s systems need time-continuous labels, not labels.csv')
        return clips
    loaded = deam.load(folder, request.split, request.skip_bad, need)
    for problem in loaded.problems:
        told = f"left out: {problem}" if problem.fatal else str(problem)
        console.print(told, soft_wrap=True, highlight=False, markup=False)
    return loaded.clips


def _data_set(folder: Path) -> Path:
    if _is_vgmidi(folder) or own_music.is_layout(folder):
        return folder
    below = (folder / name for name in (vgmidi.NAME, *_DEAM_FOLDERS))
    return next((path for path in below if path.is_dir()), folder)


def _is_vgmidi(folder: Path) -> bool:
    return (folder / "split.csv").is_file() and (folder / "midi").is_dir()


def _divide(request: Request, clips: Sequence[Clip], songs: Mapping[str, Song]) -> Division:
    parts: dict[str, list[Song]] = {DEVELOPMENT: [], EVALUATION: []}
    for clip in clips:
        if clip.name in songs:
            parts[clip.part].append(songs[clip.name])
    for part, some in parts.items():
        if not some:
            raise DataError(f'"{request.folder}" has no {part} songs')
    return Division(parts[DEVELOPMENT], parts[EVALUATION])


def _cache(request: Request, features: str) -> ExtractorCache:
    extractor = OpensmileExtractor() if features == "opensmile" else FrontendExtractor(training_frontend())
    return ExtractorCache(request.cache or default_folder(), extractor, request.sound_font)


def _compute(cache: ExtractorCache, clips: Sequence[Clip], jobs: int, console: Console) -> None:
    if isinstance(cache.extractor, OpensmileExtractor):
        console.print(LICENCE, soft_wrap=True, highlight=False, markup=False)
    with progress_bar(console) as progress:
        task = progress.add_task("features", total=len(clips))
        cache.fill(clips, jobs, lambda count: progress.advance(task, count))


def _is_table(clip: Clip) -> bool:
    return clip.source.suffix.lower() == ".csv"


def _from_table(clip: Clip) -> Song:
    assert isinstance(clip.labels, DynamicLabels)
    rows = read_features_csv(clip.source)
    return _song(clip, rows.values, rows.lay_out(clip.labels), float(rows.positions[0]))


def _from_audio(clip: Clip, cache: ExtractorCache) -> Song:
    assert isinstance(clip.labels, DynamicLabels)
    rows = cache.load(clip.source)
    if isinstance(cache.extractor, FrontendExtractor):
        rows = rows[:, cache.extractor.frontend.parameters.columns[COLUMNS]]
    return _song(clip, rows, clip.labels.per_frame(len(rows), FRAME_DURATION), FRAME_DURATION)


def _song(clip: Clip, features: FloatArray, labels: FloatArray, first_position: float) -> Song:
    labelled = np.flatnonzero(~np.isnan(labels).any(axis=1))
    if len(labelled) == 0:
        raise DataError(f'"{clip.source}" ends before its first label')
    if labelled[-1] - labelled[0] >= len(labelled):
        raise DataError(f'the labels of "{clip.source}" do not go by steps of {FRAME_DURATION} s')
    position = first_position + int(labelled[0]) * FRAME_DURATION
    return Song(clip.name, np.ascontiguousarray(features[labelled]), labels[labelled], position)


def _leave_out(wrong: Sequence[str], request: Request, console: Console) -> None:
    if wrong and not request.skip_bad:
        rest = [f"… and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise DataError("\n".join([*wrong[:_SHOWN], *rest, "add --skip-bad to go on without these songs"]))
    for text in wrong:
        console.print(f"left out: {text}", soft_wrap=True, highlight=False, markup=False)
