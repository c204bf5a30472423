"""Networks that never saw the clips that they are measured on: cross-validation, and the calibration of a network."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from model.features import FeatureParameters, FloatArray
from model.network import EmotionNetwork, NetworkParameters
from training.calibration import SpreadCalibration, calibrate_spread
from training.clips import DEVELOPMENT, FOLDS, Clip, fold_of
from training.distributed import Group
from training.processes import worker_pool
from training.recipe import Recipe
from training.sampling import WindowSampler
from training.tracking import track
from training.tracks import Track, Tracks
from training.trainer import train

CALIBRATION_FOLD = 1
OWN_SPLIT = ("emopia",)
"""Data sets whose published split takes the place of the folds."""


@dataclass(frozen=True)
class Fold:
    """Which clips one network of a cross-validation is trained on, and which it is measured on.

    Attributes
    ----------
    number : int
        From 0 to `FOLDS` - 1.
    trained_on : tuple of str
        Data sets that the recipe takes windows of.
    """

    number: int
    trained_on: tuple[str, ...]

    @classmethod
    def all_of(cls, recipe: Recipe) -> list[Fold]:
        """Return the folds of a recipe's data sets."""
        trained_on = tuple(name for name, count in recipe.windows_per_step.items() if count > 0)
        return [cls(number, trained_on) for number in range(FOLDS)]

    def is_in_folds(self, dataset: str) -> bool:
        """Whether each clip of a data set is measured in one fold only."""
        return dataset in self.trained_on and dataset not in OWN_SPLIT

    def is_left_out(self, clip: Clip) -> bool:
        """Whether the network is measured on a clip."""
        if self.is_in_folds(clip.dataset):
            return fold_of(clip.group) == self.number
        return clip.part != DEVELOPMENT

    def is_trained_on(self, clip: Clip) -> bool:
        """Whether the network may learn from a clip, and so may all that it is given."""
        return clip.dataset in self.trained_on and not self.is_left_out(clip)


class Materials(Protocol):
    """What gives each fold its material. It must survive being sent to another process."""

    @property
    def clips(self) -> Mapping[str, Sequence[Clip]]:
        """All clips, by data set."""

    def of_fold(self, fold: Fold) -> Material:
        """Return the material of a fold: nothing in it may have been learned from what the fold leaves out."""


@dataclass(frozen=True)
class Material:
    """Clips with the rows that a network takes of them; the same for every fold, if no row depends on other clips.

    Attributes
    ----------
    clips : dict
        Clips by data set.
    rows : dict
        Of each clip, an array of float32 of shape (frames, columns).
    not_music : WindowSampler or None
        Windows of sounds that are not music.
    parameters : FeatureParameters
        Layout of the rows.
    in_rooms : dict
        Of each clip, or None, the same of what is heard of it in a room, which is trained on as well.
    """

    clips: dict[str, list[Clip]]
    rows: dict[str, list[FloatArray]]
    not_music: WindowSampler | None
    parameters: FeatureParameters
    in_rooms: dict[str, list[FloatArray | None]] = field(default_factory=dict)

    def of_fold(self, fold: Fold) -> Material:
        """Return the same material for each fold."""
        return self

    def samplers(
        self, names: Sequence[str], chosen: Callable[[Clip], bool], room_share: float = 0.5
    ) -> dict[str, WindowSampler]:
        """Return a sampler for each named data set's chosen clips, passing over sets without any.

        Parameters
        ----------
        names : sequence of str
        chosen : callable
            Which clips.
        room_share : float
            Share of the windows that are of what is heard in rooms, if anything is.
        """
        samplers = {}
        for name in names:
            if name not in self.clips:
                continue
            ways: list[tuple[float, Sequence[FloatArray | None]]] = [(1.0, self.rows[name])]
            if name in self.in_rooms:
                ways = [(1 - room_share, self.rows[name]), (room_share, self.in_rooms[name])]
            clips: list[Clip] = []
            features: list[FloatArray] = []
            shares: list[float] = []
            for share, way in ways:
                for clip, rows in zip(self.clips[name], way, strict=True):
                    if rows is not None and chosen(clip):
                        clips.append(clip)
                        features.append(rows)
                        shares.append(share)
            if clips:
                samplers[name] = WindowSampler(clips, features, self.parameters.frame_duration, shares)
        return samplers

    def tracks(self, network: EmotionNetwork, chosen: Callable[[Clip], bool], lag: int = 0) -> Tracks:
        """Return what a network says of the chosen clips, as a live stream would hear them."""

        def estimate(windows: FloatArray, late: int) -> FloatArray:
            with torch.inference_mode():
                values, stds = network.estimate(torch.from_numpy(windows), late)
            return (values if stds is None else torch.cat([values, stds], dim=1)).numpy()

        tracks: Tracks = {}
        for name, clips in self.clips.items():
            places = [i for i, clip in enumerate(clips) if chosen(clip)]
            history = network.network_parameters.history
            said = track(estimate, [self.rows[name][i] for i in places], history, lag)
            if places:
                tracks[name] = {
                    clips[i].name: Track(both[:, :2].copy(), both[:, 2:].copy() if both.shape[1] > 2 else None)
                    for i, both in zip(places, said, strict=True)
                }
        return tracks


def calibrate(
    material: Material,
    network: NetworkParameters,
    recipe: Recipe,
    is_for_training: Callable[[Clip], bool],
    fold: int,
    seed: int,
    stepped: Callable[[int, float], None] = lambda step, loss: None,
    group: Group | None = None,
) -> SpreadCalibration:
    """Find the change that the standard deviations of networks need that are trained on some clips.

    A network is trained without one fold of them, and measured on that fold.

    Parameters
    ----------
    material : Material
    network : NetworkParameters
    recipe : Recipe
    is_for_training : callable
        Which clips the networks are trained on.
    fold : int
        Which fold of these is left out.
    seed : int
    stepped : callable
    group : Group, optional
        See `training.trainer.train`.

    Returns
    -------
    SpreadCalibration
        See `training.calibration.calibrate_spread`. It changes nothing if nothing is left to train on.
    """

    def is_left_out(clip: Clip) -> bool:
        return is_for_training(clip) and fold_of(clip.group) == fold

    samplers = material.samplers(
        list(recipe.windows_per_step),
        lambda clip: is_for_training(clip) and not is_left_out(clip),
        recipe.room_share,
    )
    if not samplers:
        return SpreadCalibration()
    trained = train(
        samplers, material.parameters, network, recipe, seed, stepped, not_music=material.not_music, group=group
    )
    return calibrate_spread(material.tracks(trained, is_left_out), material.clips)


def cross_validate(
    materials: Materials,
    network: NetworkParameters,
    recipe: Recipe,
    seed: int = 0,
    jobs: int = 1,
    folded: Callable[[int], None] = lambda fold: None,
) -> Tracks:
    """Estimate every clip with a network that was not trained on its song, or artist.

    Data sets that are not trained on, and those with a split of their own, are measured with every fold's network;
    their tracks are called ``CLIP@FOLD``. The standard deviations of each fold are calibrated on the other folds.

    Parameters
    ----------
    materials : Materials
        Such as a `Material`.
    network : NetworkParameters
    recipe : Recipe
    seed : int
        Each fold's network has a seed of its own, which follows from this one.
    jobs : int
        Folds that are trained at the same time.
    folded : callable
        Called with the number of each fold that is done.

    Returns
    -------
    Tracks
    """
    folds = Fold.all_of(recipe)
    by_fold: dict[int, Tracks] = {}
    if jobs > 1:
        with worker_pool(min(jobs, FOLDS), "trains a fold", _start_worker, materials, network, recipe, seed) as pool:
            futures = {pool.submit(_work, fold): fold.number for fold in folds}
            for future in concurrent.futures.as_completed(futures):
                by_fold[futures[future]] = future.result()
                folded(futures[future])
    else:
        for fold in folds:
            by_fold[fold.number] = _tracks_of_fold(materials, network, recipe, seed, fold)
            folded(fold.number)
    return _calibrated({fold: by_fold[fold.number] for fold in folds}, materials.clips)


def fold_seed(seed: int, fold: Fold) -> int:
    """Return the seed of what is learned for a fold."""
    return seed * FOLDS + fold.number


def _tracks_of_fold(materials: Materials, network: NetworkParameters, recipe: Recipe, seed: int, fold: Fold) -> Tracks:
    material = materials.of_fold(fold)
    samplers = material.samplers(fold.trained_on, fold.is_trained_on, recipe.room_share)
    seed = fold_seed(seed, fold)
    trained = train(samplers, material.parameters, network, recipe, seed, not_music=material.not_music)
    return material.tracks(trained, fold.is_left_out)


def _calibrated(by_fold: Mapping[Fold, Tracks], clips: Mapping[str, Sequence[Clip]]) -> Tracks:
    every: Tracks = {}
    for fold, tracks in by_fold.items():
        others: Tracks = {}
        for other, theirs in by_fold.items():
            if other != fold:
                for name, of_set in theirs.items():
                    if fold.is_in_folds(name):
                        others.setdefault(name, {}).update(of_set)
        calibration = calibrate_spread(others, clips)
        for name, of_set in tracks.items():
            for clip, said in of_set.items():
                stds = None if said.stds is None else calibration.apply(said.stds)
                called = clip if fold.is_in_folds(name) else f"{clip}@{fold.number}"
                every.setdefault(name, {})[called] = Track(said.values, stds)
    return every


_worker: tuple[Materials, NetworkParameters, Recipe, int]


def _start_worker(materials: Materials, network: NetworkParameters, recipe: Recipe, seed: int) -> None:
    global _worker
    _worker = materials, network, recipe, seed
    torch.set_num_threads(1)


def _work(fold: Fold) -> Tracks:
    return _tracks_of_fold(*_worker, fold)
