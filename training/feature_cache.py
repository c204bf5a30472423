"""Features of whole clips, kept on disk as plain ``.npy`` files, so that only the first training waits for them.

A file's name is the SHA-256 of all that its content depends on: the clip's bytes, what computes the features (such as
the frontend's parameters and filterbanks), and, for MIDI, the sound font's bytes. So nothing in the cache ever needs to
be invalidated, and it may be deleted at any time. Files appear whole or not at all; reading executes no code.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from model.ear import Ear
from model.features import FloatArray, Frontend
from training.arrays import read_floats
from training.audio import RENDER_GAIN, SOUND_FONT, is_midi
from training.clips import Clip
from training.extractors import EarExtractor, FrontendExtractor, SpectrogramExtractor, hear_kept
from training.files import write_whole
from training.processes import worker_pool
from training.tables import DataError


def default_folder() -> Path:
    """Return the cache's folder: $MOODRING_CACHE, $XDG_CACHE_HOME/moodring or ~/.cache/moodring."""
    if own := os.environ.get("MOODRING_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "moodring"
    return Path.home() / ".cache" / "moodring"


class Extractor(Protocol):
    """What turns a file of music into the numbers that are kept.

    It must survive being sent to another process: a frozen dataclass at the top of a module does.
    """

    @property
    def key(self) -> bytes:
        """What, beside the file, its output depends on; different for different extractors."""

    @property
    def column_count(self) -> int:
        """Numbers per frame."""

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return an array of float32 of shape (frames, column_count).

        Raises
        ------
        DataError
            If the file cannot be decoded.
        """


@dataclass(frozen=True)
class ExtractorCache:
    """What an extractor makes of clips, computed once.

    Attributes
    ----------
    folder : Path
        Where it is kept.
    extractor : Extractor
        What computes it.
    sound_font : Path
        What MIDI is rendered with.
    """

    folder: Path
    extractor: Extractor
    sound_font: Path = SOUND_FONT

    def path(self, source: Path) -> Path:
        """Return where the features of a file are, or will be.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        digest = hashlib.sha256(self.extractor.key)
        digest.update(_hash_file(source).encode())
        if is_midi(source):
            digest.update(f"{RENDER_GAIN} {_hash_sound_font(self.sound_font)}".encode())
        return self.folder / f"{digest.hexdigest()[:40]}.npy"

    def is_kept(self, source: Path) -> bool:
        """Whether `load` has nothing to compute."""
        return self.path(source).is_file()

    def load(self, source: Path) -> FloatArray:
        """Return the features of a file, computing and keeping them if need be.

        Parameters
        ----------
        source : Path
            Audio or MIDI.

        Returns
        -------
        ndarray of float32, shape (frames, column_count)

        Raises
        ------
        DataError
            If the file cannot be decoded, or the cache cannot be written.
        """
        path = self.path(source)
        kept = _read(path, self.extractor.column_count)
        if kept is not None:
            return kept
        features = self.extract(source)
        content = io.BytesIO()
        np.save(content, features, allow_pickle=False)
        write_whole(path, content.getvalue(), "the feature cache", make_folder=True)
        return features

    def extract(self, source: Path) -> FloatArray:
        """Compute the features of a file, whether they are kept or not; see `load`."""
        return self.extractor(source, self.sound_font)

    def load_all(
        self, clips: Sequence[Clip], jobs: int = 1, heard: Callable[[int], None] = lambda _: None
    ) -> list[FloatArray]:
        """Return the features of clips, computing what is missing in parallel.

        Parameters
        ----------
        clips : sequence of Clip
            What to load.
        jobs : int
            Processes that compute.
        heard : callable
            Called with the number of clips that became ready.

        Returns
        -------
        list of ndarray of float32, shape (frames, column_count)

        Raises
        ------
        DataError
            If a file cannot be decoded, or the cache cannot be written.
        """
        for error in self.fill(clips, jobs, heard).values():
            raise error
        return [self.load(clip.source) for clip in clips]

    def fill(
        self, clips: Sequence[Clip], jobs: int = 1, heard: Callable[[int], None] = lambda _: None
    ) -> dict[Path, DataError]:
        """Compute what is missing in parallel; one bad file stops none of the others.

        Parameters
        ----------
        clips : sequence of Clip
        jobs : int
            Processes that compute.
        heard : callable
            Called with the number of clips that are done with.

        Returns
        -------
        dict
            What is wrong with the files that could not be decoded.

        Raises
        ------
        DataError
            If a process was killed.
        """
        missing = [clip.source for clip in clips if not (clip.source.is_file() and self.is_kept(clip.source))]
        heard(len(clips) - len(missing))
        if jobs > 1 and len(missing) > 1:
            return self._compute(missing, jobs, heard)
        failures = {}
        for source in missing:
            try:
                self.load(source)
            except DataError as error:
                failures[source] = error
            heard(1)
        return failures

    def _compute(self, sources: Sequence[Path], jobs: int, heard: Callable[[int], None]) -> dict[Path, DataError]:
        failures = {}
        with worker_pool(jobs, "computes features", _start_worker, self) as pool:
            futures = {pool.submit(_work, source): source for source in sources}
            for future in concurrent.futures.as_completed(futures):
                try:
                    future.result()
                except DataError as error:
                    failures[futures[future]] = error
                heard(1)
        return failures


@dataclass(frozen=True, kw_only=True)
class EarCache(ExtractorCache):
    """What an ear says of clips, computed once; where it is kept what ears look at, no clip is read for that.

    Attributes
    ----------
    ear : Ear
        What hears.
    spectrograms : ExtractorCache
        Where `training.extractors.SpectrogramExtractor`'s arrays of the same sound are, if they were needed before.
    """

    ear: Ear
    spectrograms: ExtractorCache

    def extract(self, source: Path) -> FloatArray:
        """Compute what is said of a file, bit for bit the same from what is kept as from the file."""
        if self.spectrograms.is_kept(source):
            return hear_kept(self.ear, self.spectrograms.load(source))
        return super().extract(source)


def ear_cache(
    folder: Path,
    ear: Ear | None,
    sound_font: Path,
    alter: Callable[[Extractor], Extractor] = lambda extractor: extractor,
) -> EarCache | None:
    """Return where it is kept what an ear says; None without an ear.

    Parameters
    ----------
    folder, sound_font : Path
        As of `ExtractorCache`.
    ear : Ear or None
        What hears.
    alter : callable
        From an extractor to the one that lets it hear something else.
    """
    if ear is None:
        return None
    spectrograms = ExtractorCache(folder, alter(SpectrogramExtractor(ear.frontend)), sound_font)
    return EarCache(folder, alter(EarExtractor(ear)), sound_font, ear=ear, spectrograms=spectrograms)


@dataclass(frozen=True, init=False)
class FeatureCache(ExtractorCache):
    """The rows that a network takes of clips, computed once: the features and, behind them, what an ear says.

    The two are kept apart, so that another ear needs no new features.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    frontend : Frontend
        What computes the features.
    sound_font : Path
        What MIDI is rendered with.
    ear : Ear, optional
        What hears the same frames.
    """

    of_ear: EarCache | None = None

    def __init__(self, folder: Path, frontend: Frontend, sound_font: Path = SOUND_FONT, ear: Ear | None = None) -> None:
        super().__init__(folder, FrontendExtractor(frontend), sound_font)
        object.__setattr__(self, "of_ear", ear_cache(folder, ear, sound_font))

    @property
    def ear(self) -> Ear | None:
        """What hears the same frames."""
        return None if self.of_ear is None else self.of_ear.ear

    def load(self, source: Path) -> FloatArray:
        """Return the rows of a file, shape (frames, feature_count + ear_columns); see `ExtractorCache.load`."""
        features = super().load(source)
        return features if self.of_ear is None else np.concatenate([features, self.of_ear.load(source)], axis=1)

    def is_kept(self, source: Path) -> bool:
        """Whether there are the features, and what the ear says."""
        return super().is_kept(source) and (self.of_ear is None or self.of_ear.is_kept(source))

    @property
    def frontend(self) -> Frontend:
        """What computes the features."""
        assert isinstance(self.extractor, FrontendExtractor)
        return self.extractor.frontend


_worker_cache: ExtractorCache


def _start_worker(cache: ExtractorCache) -> None:
    global _worker_cache
    _worker_cache = cache


def _work(source: Path) -> None:
    _worker_cache.load(source)


def _hash_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error


@lru_cache(maxsize=4)
def _hash_sound_font(path: Path) -> str:
    # a missing one is reported by the renderer, which knows the package's name
    return _hash_file(path) if path.is_file() else "missing"


def _read(path: Path, column_count: int) -> FloatArray | None:
    try:
        return read_floats(path, column_count)
    except (OSError, ValueError):
        return None
