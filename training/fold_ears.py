"""A cross-validation whose ears are learned as well: one for each fold, from what the fold's network is trained on.

An ear that was distilled from all the music has heard the songs that a fold leaves out, though not their labels; one
that was distilled from the other folds' music alone has not.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.distilled_ear import DistilledEarParameters
from model.ear import Ear, EarFrontend
from model.ears import DistilledListener, build_ear, ear_tensors, ear_to_json
from model.features import FeatureParameters, FloatArray, Frontend
from training.air_features import AirPathOfEach
from training.audio import SOUND_FONT
from training.clips import Clip
from training.distillation import DistillationSettings
from training.ear_distillation import distil_ear, lesson_caches, room_spectrogram_cache
from training.extractors import hear_kept, look_at
from training.feature_cache import ExtractorCache
from training.held_out import Fold, Material, fold_seed
from training.not_music import not_music_sampler
from training.processes import worker_pool


@dataclass(frozen=True)
class FoldDistillation:
    """How the ears are made.

    Attributes
    ----------
    teacher : Ear
        Whom they learn from.
    folder : Path
        Of the feature cache.
    settings : DistillationSettings
        How they are taught.
    parameters : DistilledEarParameters
        Their sizes.
    seed : int
        Each ear has a seed of its own, which follows from this one.
    sound_font : Path
        What MIDI is rendered with.
    rooms : AirPathOfEach or None
        Rooms in which they hear as well.
    unlabelled : sequence of Clip
        More music, from which every fold's ear learns.
    """

    teacher: Ear
    folder: Path
    settings: DistillationSettings
    parameters: DistilledEarParameters
    seed: int = 0
    sound_font: Path = SOUND_FONT
    rooms: AirPathOfEach | None = None
    unlabelled: Sequence[Clip] = ()

    @property
    def spectrograms(self) -> ExtractorCache:
        """Where what the ears look at is kept."""
        return lesson_caches(self.folder, self.teacher, self.sound_font)[0]

    @property
    def room_spectrograms(self) -> ExtractorCache | None:
        """Where what they look at in rooms is kept; None without rooms."""
        if self.rooms is None:
            return None
        return room_spectrogram_cache(self.folder, self.teacher, self.rooms, self.sound_font)

    def fill(
        self, clips: Sequence[Clip], music: Sequence[Clip], jobs: int = 1, heard: Callable[[int], None] = lambda _: None
    ) -> None:
        """Compute what is not in the cache.

        Parameters
        ----------
        clips : sequence of Clip
            All that the ears are to hear.
        music : sequence of Clip
            Those of them that the teacher is to hear.
        jobs : int
            Processes that compute.
        heard : callable
            Called with the number of clips that became ready: of clips and music, of music once more with rooms, and
            twice of unlabelled music.

        Raises
        ------
        DataError
            If a file cannot be decoded, or the cache cannot be written.
        """
        spectrograms, said = lesson_caches(self.folder, self.teacher, self.sound_font)
        lessons: list[tuple[ExtractorCache, Sequence[Clip]]] = [
            (spectrograms, [*clips, *self.unlabelled]),
            (said, [*music, *self.unlabelled]),
        ]
        if self.room_spectrograms is not None:
            lessons.append((self.room_spectrograms, music))
        for cache, needed in lessons:
            for error in cache.fill(needed, jobs, heard).values():
                raise error

    def ear_of(
        self, fold: Fold, music: Sequence[Clip], stepped: Callable[[int], None] = lambda step: None
    ) -> DistilledListener:
        """Distil a fold's ear from some music; see `distil_ear`."""
        return distil_ear(
            music,
            self.folder,
            self.teacher,
            self.settings,
            self.parameters,
            unlabelled=self.unlabelled,
            rooms=self.rooms,
            sound_font=self.sound_font,
            seed=fold_seed(self.seed, fold),
            stepped=stepped,
        )

    def ears(
        self,
        folds: Sequence[Fold],
        clips: Mapping[str, Sequence[Clip]],
        jobs: int = 1,
        stepped: Callable[[int], None] = lambda _: None,
    ) -> dict[Fold, DistilledListener]:
        """Distil each fold's ear from the clips that the fold is trained on.

        Parameters
        ----------
        folds : sequence of Fold
        clips : mapping
            Clips by data set, whatever fold they belong to.
        jobs : int
            Ears that are taught at the same time. With more than one, `fill` comes first.
        stepped : callable
            Called with a number of steps that were done, `settings.steps` for each fold in all.

        Returns
        -------
        dict
            Of each fold its ear.

        Raises
        ------
        DataError
            If a fold has no music, a file cannot be decoded, or a process was killed.
        """
        music = {fold: [c for of_set in clips.values() for c in of_set if fold.is_trained_on(c)] for fold in folds}
        if jobs == 1:
            return {fold: self.ear_of(fold, music[fold], _each_step(stepped)) for fold in folds}
        ears = {}
        with worker_pool(min(jobs, len(folds)), "distils an ear", _start_worker, self) as pool:
            futures = {pool.submit(_work, fold, music[fold]): fold for fold in folds}
            for future in concurrent.futures.as_completed(futures):
                description, arrays = future.result()
                tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
                ear = build_ear(description, tensors)
                assert isinstance(ear, DistilledListener)
                ears[futures[future]] = ear
                stepped(self.settings.steps)
        return {fold: ears[fold] for fold in folds}


@dataclass(frozen=True)
class FoldEarMaterials:
    """Gives each fold rows with what its own ear says; see `training.held_out.Materials`.

    Attributes
    ----------
    clips : dict
        Clips by data set.
    features : dict
        Of each clip the frontend's features, an array of float32 of shape (frames, feature_count).
    not_music : list of tuple of ndarray
        Of each clip that is not music the frontend's features and what ears look at; see `both_of`.
    ears : dict
        Of each fold its ear.
    spectrograms : ExtractorCache
        Where what the ears look at is kept.
    parameters : FeatureParameters
        Layout of the features.
    in_rooms : dict
        Of each clip, or None, the frontend's features of what is heard in a room.
    room_spectrograms : ExtractorCache or None
        Where what the ears look at in rooms is kept.
    """

    clips: dict[str, list[Clip]]
    features: dict[str, list[FloatArray]]
    not_music: list[tuple[FloatArray, FloatArray]]
    ears: dict[Fold, DistilledListener]
    spectrograms: ExtractorCache
    parameters: FeatureParameters
    in_rooms: dict[str, list[FloatArray | None]] = field(default_factory=dict)
    room_spectrograms: ExtractorCache | None = None

    def of_fold(self, fold: Fold) -> Material:
        """Return the clips with the rows of one fold.

        Raises
        ------
        DataError
            If a file cannot be decoded whose spectrograms are no longer kept.
        """
        ear = self.ears[fold]
        rows = {
            name: [
                # one clip's spectrograms at a time: together they are gigabytes
                _rows(ear, features, self.spectrograms.load(clip.source))
                for clip, features in zip(of_set, self.features[name], strict=True)
            ]
            for name, of_set in self.clips.items()
        }
        in_rooms: dict[str, list[FloatArray | None]] = {}
        if self.room_spectrograms is not None:
            in_rooms = {
                name: [
                    None if features is None else _rows(ear, features, self.room_spectrograms.load(clip.source))
                    for clip, features in zip(self.clips[name], of_set, strict=True)
                ]
                for name, of_set in self.in_rooms.items()
            }
        silent = [_rows(ear, *both) for both in self.not_music]
        sampler = not_music_sampler(silent, self.parameters.frame_duration)
        return Material(self.clips, rows, sampler, self.parameters, in_rooms)


def both_of(
    clips: Sequence[FloatArray], frontend: Frontend, ear_frontend: EarFrontend
) -> list[tuple[FloatArray, FloatArray]]:
    """Return the features and what ears look at, of clips' frames, each of shape (frames, frame_length)."""
    return [(frontend(frames), look_at(ear_frontend, frames)) for frames in clips]


def _rows(ear: Ear, features: FloatArray, spectrograms: FloatArray) -> FloatArray:
    return np.concatenate([features, hear_kept(ear, spectrograms)], axis=1)


def _each_step(stepped: Callable[[int], None]) -> Callable[[int], None]:
    """Tell how many steps were done since the last one that was told of."""
    before = 0

    def told(step: int) -> None:
        nonlocal before
        stepped(step - before)
        before = step

    return told


_worker: FoldDistillation


def _start_worker(distillation: FoldDistillation) -> None:
    global _worker
    _worker = distillation


def _work(fold: Fold, music: Sequence[Clip]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    ear = _worker.ear_of(fold, music)
    # arrays: tensors that cross to another process live in shared memory of their own
    return ear_to_json(ear), {name: tensor.numpy() for name, tensor in ear_tensors(ear).items()}
