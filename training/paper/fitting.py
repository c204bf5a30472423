"""Training a network on sequences: RMSE, Adam, elastic net, early stopping, and a state on disk after every epoch.

On one machine and one thread, with the same versions of the libraries, the same songs and the same seed, two runs give
the same weights bit for bit, and so does one that was killed and resumed. On a GPU the recurrences' kernels do not
promise that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.kinds import check_kinds
from training.paper.songs import FloatArray, Place, Song, cut, songs_digest
from training.state import (
    State,
    going_on,
    module_tensors,
    optimiser_tensors,
    read_state,
    restore_optimiser,
    tensors_digest,
    without_prefix,
    write_state,
)
from training.tables import DataError

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Schedule:
    """How a network is fitted; the attributes are those of `Configuration`."""

    sequence_length: int
    batch_size: int
    learning_rate: float
    epochs: int
    patience: int


@dataclass(frozen=True)
class Epoch:
    """What came of an epoch.

    Attributes
    ----------
    number : int
        From 1.
    loss : float
        Mean over the steps of RMSE and penalty.
    valence, arousal : float
        RMSE over all frames of the validation songs.
    """

    number: int
    loss: float
    valence: float
    arousal: float

    @property
    def score(self) -> float:
        """The mean of both RMSE: what early stopping minimises."""
        return (self.valence + self.arousal) / 2


class ElasticNet:
    """Penalty on the weights and the activity of convolutions (the paper, section 2.2).

    l1 and l2 weigh the mean absolute value and the mean square of each layer's weights and of its outputs. Means
    rather than sums, so that the same numbers suit every number of columns, frames and filters.

    Parameters
    ----------
    network : Module
        Whose `Conv2d` layers are meant.
    l1, l2 : float
    """

    def __init__(self, network: nn.Module, l1: float, l2: float) -> None:
        self._l1 = l1
        self._l2 = l2
        self._activities: list[Tensor] = []
        self._layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        for layer in self._layers:
            layer.register_forward_hook(self._note)

    def __call__(self) -> Tensor:
        """Return the penalty of the forward pass just made."""
        total = torch.zeros(())
        for values in [*(layer.weight for layer in self._layers), *self._activities]:
            # norms, because they make no copies of the activity
            mean = torch.linalg.vector_norm(values, ord=1) / values.numel()
            mean_square = torch.linalg.vector_norm(values).square() / values.numel()
            total = total.to(values.device) + self._l1 * mean + self._l2 * mean_square
        self._activities.clear()
        return total

    def _note(self, layer: nn.Module, inputs: object, output: Tensor) -> None:
        if layer.training:
            self._activities.append(output)


def no_penalty() -> Tensor:
    """Return zero: for networks without regularised layers."""
    return torch.zeros(())


def fit(
    network: nn.Module,
    training: Sequence[Song],
    validation: Sequence[Song],
    schedule: Schedule,
    seed: int,
    penalty: Callable[[], Tensor] = no_penalty,
    state: Path | None = None,
    resume: bool = False,
    told: Callable[[Epoch], None] = lambda _: None,
    settings: Mapping[str, Any] | None = None,
) -> list[Epoch]:
    """Train a network until the validation songs gain no more.

    Parameters
    ----------
    network : Module
        Shape (batch, time, columns) to (batch, time, 2). Left in evaluation mode with the best epoch's weights, also
        when interrupted.
    training, validation : sequence of Song
    schedule : Schedule
    seed : int
        Everything random follows from it, the network's own initial weights excepted.
    penalty : callable
        What is added to the loss of the forward pass just made.
    state : Path, optional
        Where the run's state is kept, for `resume`.
    resume : bool
        Go on from `state` if it is there.
    told : callable
        Called after every epoch, those of a resumed run included.
    settings : mapping, optional
        What the outcome depends on besides all this, the network's dropout for one, as a JSON object: a state that
        was written under other settings is refused.

    Returns
    -------
    list of Epoch

    Raises
    ------
    DataError
        If the state cannot be written, or is of a run with other settings or songs.
    KeyboardInterrupt
        Passed on.
    """
    fingerprint = {
        "schedule": asdict(schedule),
        "seed": seed,
        "settings": dict(settings or {}),
        "songs": [songs_digest(songs) for songs in (training, validation)],
        "initial_weights": tensors_digest(network.state_dict()),
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    best = copy.deepcopy(network.state_dict())
    epochs: list[Epoch] = []
    if resume and state is not None and state.is_file():
        kept = read_state(state)
        if kept.notes.get("fingerprint") != fingerprint:
            raise DataError(f'"{state}" is from a run with other settings or songs; remove it to start again')
        with going_on(state):
            epochs = [Epoch(**epoch) for epoch in kept.notes["epochs"]]
            for epoch in epochs:
                check_kinds(epoch)
            best = {name: tensor.to(device) for name, tensor in without_prefix("best", kept.tensors).items()}
            network.load_state_dict(best)  # as it will be at the end
            network.load_state_dict(without_prefix("network", kept.tensors))
            restore_optimiser(optimiser, kept.tensors)
            torch.set_rng_state(kept.tensors["generator.torch"])
            generator.set_state(kept.tensors["generator.order"])
        for epoch in epochs:
            told(epoch)
    places = cut(training, schedule.sequence_length)
    try:
        while not _finished(epochs, schedule):
            loss = _train_epoch(network, training, places, schedule.batch_size, optimiser, penalty, generator, device)
            valence, arousal = _validation_rmse(network, validation, schedule.sequence_length)
            epochs.append(Epoch(len(epochs) + 1, loss, valence, arousal))
            if min(epochs, key=lambda epoch: epoch.score) is epochs[-1]:
                best = copy.deepcopy(network.state_dict())
            if state is not None:
                tensors = module_tensors("network", network)
                tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
                tensors |= optimiser_tensors(optimiser)
                tensors |= {"generator.torch": torch.get_rng_state(), "generator.order": generator.get_state()}
                notes = {"fingerprint": fingerprint, "epochs": [asdict(epoch) for epoch in epochs]}
                write_state(state, State(tensors, notes))
            told(epochs[-1])
    finally:
        network.load_state_dict(best)
        network.cpu().eval()
    return epochs


def estimate(network: nn.Module, songs: Sequence[Song], length: int) -> list[FloatArray]:
    """Estimate every frame of songs, cut into sequences.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    songs : sequence of Song
    length : int
        Frames of a sequence.

    Returns
    -------
    list of ndarray of float32, shape (frames, 2)
    """
    device = next(network.parameters()).device
    estimates = [np.empty((len(song.inputs), 2), dtype=np.float32) for song in songs]
    # backwards, so that of the frames which two sequences share the earlier one's, which knows what follows, remains
    places = sorted(cut(songs, length), key=lambda place: (place.length, -place.start))
    with torch.inference_mode():
        for batch in _batches(places, _EVALUATION_BATCH):
            inputs = np.stack([songs[p.song].inputs[p.start : p.start + p.length] for p in batch])
            outputs = network(torch.from_numpy(inputs).to(device)).cpu().numpy()
            for place, values in zip(batch, outputs, strict=True):
                estimates[place.song][place.start : place.start + place.length] = values
    return estimates


def _finished(epochs: Sequence[Epoch], schedule: Schedule) -> bool:
    if not epochs:
        return False
    best = min(epochs, key=lambda epoch: epoch.score)
    return len(epochs) >= schedule.epochs or len(epochs) - best.number >= schedule.patience


def _train_epoch(
    network: nn.Module,
    songs: Sequence[Song],
    places: Sequence[Place],
    batch_size: int,
    optimiser: torch.optim.Optimizer,
    penalty: Callable[[], Tensor],
    generator: torch.Generator,
    device: torch.device,
) -> float:
    network.train()
    order = [places[i] for i in torch.randperm(len(places), generator=generator).tolist()]
    batches = list(_batches(sorted(order, key=lambda place: place.length), batch_size))
    losses = []
    for number in torch.randperm(len(batches), generator=generator).tolist():
        batch = batches[number]
        inputs = np.stack([songs[p.song].inputs[p.start : p.start + p.length] for p in batch])
        labels = np.stack([songs[p.song].labels[p.start : p.start + p.length] for p in batch])
        outputs = network(torch.from_numpy(inputs).to(device))
        loss = rmse_loss(outputs, torch.from_numpy(labels).to(device)) + penalty().to(device)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    if not math.isfinite(losses[-1]):
        raise DataError("training diverged: the loss is no longer finite; try a smaller learning_rate")
    return float(np.mean(losses))


def rmse_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of valence's and arousal's RMSE over a batch of shape (batch, time, 2)."""
    # the root of zero has no gradient
    return torch.sqrt((outputs - labels).square().mean(dim=(0, 1)) + 1e-8).mean()


def _validation_rmse(network: nn.Module, songs: Sequence[Song], length: int) -> tuple[float, float]:
    network.eval()
    errors = np.concatenate(
        [values - song.labels for values, song in zip(estimate(network, songs, length), songs, strict=True)]
    )
    valence, arousal = np.sqrt(np.mean(errors.astype(np.float64) ** 2, axis=0)).tolist()
    return valence, arousal


def _batches(places: Sequence[Place], size: int) -> Iterator[Sequence[Place]]:
    """Yield batches of sequences of equal length; the places come grouped by length."""
    for _, of_length in groupby(places, key=lambda place: place.length):
        group = list(of_length)
        for start in range(0, len(group), size):
            yield group[start : start + size]
