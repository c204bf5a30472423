"""The loss of a batch of windows from several data sets, in one process or in several."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.network import EmotionNetwork
from training.distributed import Group
from training.global_batch import GlobalBatch, spread_over
from training.losses import pair_loss, sign_loss, spread_loss
from training.recipe import Recipe
from training.state import State

PAIRS, SIGNS = "pairs", "signs"


class Objective(nn.Module):
    """The loss that a network is trained by.

    Parameters
    ----------
    network : EmotionNetwork
    kinds : sequence of str
        Of each data set's labels: `PAIRS`, `SIGNS`, or anything else for sounds that are not music.
    recipe : Recipe
    batch : GlobalBatch, optional
        How the rows are spread over several processes.
    """

    def __init__(
        self, network: EmotionNetwork, kinds: Sequence[str], recipe: Recipe, batch: GlobalBatch | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self._kinds, self._recipe, self._batch = kinds, recipe, batch

    def forward(self, histories: list[Tensor], labels: list[Tensor]) -> Tensor:
        """Return the loss of one batch, shape ().

        Parameters
        ----------
        histories : list of Tensor, each of shape (batch, frames, columns)
            By data set; those of all processes.
        labels : list of Tensor, each of shape (batch, frames, 2)
        """
        network, recipe, kinds = self.network, self._recipe, self._kinds
        window = min(network.network_parameters.window, *(rows.shape[1] for rows in histories))
        if self._batch is not None:
            histories = self._batch.mine(histories)
            labels = [label.to(self._batch.group.device) for label in labels]
        statistics = None if network.summary is None else [network.statistics(rows) for rows in histories]
        outputs = network.members_of(
            torch.cat([rows[:, -window:] for rows in histories]), None if statistics is None else torch.cat(statistics)
        )
        if self._batch is not None:
            outputs = self._batch.gather(outputs)
        loss = torch.zeros(())
        by_set = torch.split(outputs, [len(label) for label in labels])
        for i, (output, label, kind) in enumerate(zip(by_set, labels, kinds, strict=True)):
            of_kind = sum(len(other) for other, of_other in zip(labels, kinds, strict=True) if of_other == kind)
            # concordance is taken within a data set: between data sets it would reward telling their recordings apart
            if kind == SIGNS:
                part = recipe.sign_weight * sign_loss(output, label[:, -output.shape[1] :], recipe.sign_scale)
            elif kind == PAIRS:
                part = pair_loss(output, label[:, -output.shape[1] :], recipe.concordance)
            else:
                part = recipe.not_music_weight * output.square().mean()
            if kind != SIGNS and network.spread is not None and statistics is not None:
                newest = label[:, -1] if kind == PAIRS else (2 * torch.rand(len(label), 2) - 1).to(label.device)
                estimate = output.detach().mean(dim=(1, 2))
                part = part + spread_loss(estimate, self._stds(i, network.spread, statistics[i]), newest)
            loss = loss + part * (len(label) / of_kind)
        return loss

    def _stds(self, index: int, path: Callable[[Tensor], Tensor], statistics: Tensor) -> Tensor:
        return path(statistics) if self._batch is None else self._batch.of_set(index, path, statistics)


def spread_objective(
    network: EmotionNetwork, kinds: Sequence[str], recipe: Recipe, group: Group, counts: Sequence[int]
) -> nn.Module:
    """Return the same loss as `Objective`, of which each process computes its rows.

    Parameters
    ----------
    network : EmotionNetwork
        In training mode; its layers are replaced by those of `training.global_batch`.
    kinds, recipe
        As those of `Objective`.
    group : Group
    counts : sequence of int
        Windows of each data set in a batch.

    Returns
    -------
    Module
        Its gradients are those of the whole batch, the same in all processes.
    """
    batch = GlobalBatch(group, counts)
    spread_over(network, batch)
    with warnings.catch_warnings():
        # the name that takes broadcast_buffers' place is not in the oldest torch that moodring runs with
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            Objective(network, kinds, recipe, batch), broadcast_buffers=False, find_unused_parameters=True
        )


def shared_state(group: Group, state: State | None) -> State | None:
    """Give the state that the first process has read, if any, to all."""
    notes, tensors = group.share(
        None if state is None else {"notes": state.notes}, {} if state is None else state.tensors
    )
    return None if notes is None else State(tensors, notes["notes"])
