"""The systems that the paper describes or compares with: one or several networks, and what joins their estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.paper import networks
from training.paper.configuration import Configuration
from training.paper.fitting import ElasticNet, Epoch, Schedule, estimate, fit
from training.paper.fusion import Fusion, cross_fitted
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.songs import FloatArray, Song, by_name_hash, hold_out
from training.tables import DataError

FUSION_LENGTHS = (60, 30, 20, 10, 20, 10)
"""Sequence lengths of the fusion's six networks. The paper names the four lengths, not which occur twice."""
_PRETRAINED_LAYERS = 2

Told = Callable[[str, Epoch], None]
"""Is told the part of the system that is being trained, and its epoch."""


@dataclass(frozen=True)
class Component:
    """A trained network and the length of the sequences that it hears."""

    network: networks.StandardisedNetwork
    sequence_length: int


@dataclass(frozen=True)
class TrainedSystem:
    """A system, ready to use.

    Attributes
    ----------
    configuration : Configuration
    components : list of Component
        Whose estimates are averaged, or fused.
    fusion : Fusion or None
    validation : list of ndarray of float32, shape (frames, 2)
        Estimates of the songs that were held out for early stopping, in the order of `validation_songs`.
    validation_songs : list of str
        Their names.
    epochs : dict
        By component.
    interrupted : bool
        Whether Ctrl-C came before the training's end.
    """

    configuration: Configuration
    components: list[Component]
    fusion: Fusion | None = None
    validation: list[FloatArray] = field(default_factory=list)
    validation_songs: list[str] = field(default_factory=list)
    epochs: dict[str, list[Epoch]] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def parameter_count(self) -> int:
        """Trainable parameters of all parts."""
        own = sum(networks.parameter_count(component.network) for component in self.components)
        return own + (self.fusion.parameter_count if self.fusion else 0)

    def outputs(self, songs: Sequence[Song]) -> list[FloatArray]:
        """Return what every component says of every frame: by song, shape (frames, components, 2)."""
        by_component = [estimate(c.network, songs, c.sequence_length) for c in self.components]
        return [np.stack(of_song, axis=1) for of_song in zip(*by_component, strict=True)]

    def estimate(self, songs: Sequence[Song]) -> list[FloatArray]:
        """Estimate valence and arousal.

        Parameters
        ----------
        songs : sequence of Song
            Their labels are not looked at.

        Returns
        -------
        list of ndarray of float32, shape (frames, 2)
            In [-1, 1].
        """
        outputs = self.outputs(songs)
        joined = [self.fusion.predict(o) if self.fusion else o.mean(axis=1) for o in outputs]
        return [values.clip(-1, 1) for values in joined]


def train_system(
    configuration: Configuration,
    development: Sequence[Song],
    seed: int,
    state: Path | None = None,
    resume: bool = False,
    told: Told = lambda part, epoch: None,
    keep_interrupted: bool = False,
) -> TrainedSystem:
    """Train a system.

    Parameters
    ----------
    configuration : Configuration
    development : sequence of Song
        Some of them are held out for early stopping.
    seed : int
        Everything random follows from it.
    state : Path, optional
        Folder for the states of the run's parts.
    resume : bool
        Go on from there.
    told : callable
        See `Told`.
    keep_interrupted : bool
        On Ctrl-C, return a system of one network as it is at its best epoch.

    Returns
    -------
    TrainedSystem

    Raises
    ------
    DataError
        If there are too few songs, or the state cannot be used.
    KeyboardInterrupt
        Passed on, unless it was to be kept and there is something whole: not with several networks, nor before the
        first epoch's end.
    """
    c = configuration
    needed = 2 if c.system != "dblstm-fusion" else len(FUSION_LENGTHS) + 2
    if len(development) < needed:
        raise DataError(f"{c.system} needs at least {needed} development songs, and there are {len(development)}")
    training, validation = hold_out(development, c.validation_share)
    if c.system == "dblstm-fusion" and len(training) < len(FUSION_LENGTHS):
        raise DataError(
            f"{c.system} needs at least {len(FUSION_LENGTHS)} songs for training, and a validation_share of "
            f"{c.validation_share:g} leaves {len(training)} of {len(development)}"
        )
    epochs: dict[str, list[Epoch]] = {}
    columns = training[0].inputs.shape[1]

    def fit_part(
        part: str, network: networks.StandardisedNetwork, songs: Sequence[Song], stop: Sequence[Song], length: int
    ) -> None:
        frames = np.concatenate([song.inputs for song in songs])
        network.set_standardisation(torch.from_numpy(frames))
        schedule = Schedule(length, c.batch_size, c.learning_rate, c.epochs, c.patience)
        if part.endswith(_PRETRAINING):
            schedule = replace(schedule, epochs=c.pretraining_epochs)
        penalty = ElasticNet(network, c.l1, c.l2)
        of_part = epochs[part] = []

        def tell(epoch: Epoch) -> None:
            of_part.append(epoch)
            told(part, epoch)

        path = None if state is None else state / f"{part}.safetensors"
        fit(network, songs, stop, schedule, seed, penalty, path, resume, tell, c.to_json())

    components = []
    interrupted = False
    torch.manual_seed(seed)
    if c.system in ("crnn", "crnn-nb"):
        network = networks.crnn(c, columns)
        try:
            fit_part(c.system, network, training, validation, c.sequence_length)
        except KeyboardInterrupt:
            if not (keep_interrupted and epochs.get(c.system)):
                raise
            interrupted = True
        components.append(Component(network, c.sequence_length))
    elif c.system == "ensemble":
        for length in SEQUENCE_LENGTHS:
            torch.manual_seed(seed)  # so that each is the CRNN that is trained alone with this length and seed
            network = networks.crnn(c, columns)
            fit_part(f"crnn-{length}", network, training, validation, length)
            components.append(Component(network, length))
    else:
        for number, length in enumerate(FUSION_LENGTHS):
            part = f"dblstm-{number + 1}-of-{len(FUSION_LENGTHS)}"
            songs, stop = _sixth(training, number)
            network = networks.dblstm(c, columns)
            if c.pretraining_epochs:
                first = networks.dblstm(c, columns, _PRETRAINED_LAYERS)
                fit_part(part + _PRETRAINING, first, songs, stop, length)
                _body(network).take_first_layers(_body(first))
            fit_part(part, network, songs, stop, length)
            components.append(Component(network, length))

    system = TrainedSystem(c, components)
    labels = [song.labels for song in validation]
    fusion = None
    if c.system == "dblstm-fusion":
        outputs = system.outputs(validation)
        fusion = Fusion.fit(outputs, labels, seed)
        estimates = [values.clip(-1, 1) for values in cross_fitted(outputs, labels, seed)]
    else:
        estimates = system.estimate(validation)
    return replace(
        system,
        fusion=fusion,
        validation=estimates,
        validation_songs=[song.name for song in validation],
        epochs=epochs,
        interrupted=interrupted,
    )


_PRETRAINING = "-pretraining"


def _sixth(songs: Sequence[Song], number: int) -> tuple[list[Song], list[Song]]:
    """Return the songs without the sixth of this number, and that sixth: together the six see all songs."""
    ordered = by_name_hash(songs)
    held_out = ordered[number :: len(FUSION_LENGTHS)]
    return [song for song in ordered if song not in held_out], held_out


def _body(network: nn.Module) -> networks.DeepBidirectionalLSTM:
    body = network.body
    assert isinstance(body, networks.DeepBidirectionalLSTM)
    return body
