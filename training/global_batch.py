"""A batch whose rows are spread over processes, and layers that treat it as one process would treat all of it.

Every process draws the same windows and the same masks from generators with the same seed, and takes its rows of them;
so what is dropped does not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.crnn import PathDropout, WindowDropout
from training.distributed import Group

FEWEST_WINDOWS = 2
"""Of each process in a batch: the memory of a batch of one row does not show which axis a mask is drawn along first."""


class GlobalBatch:
    """Which rows of a batch this process computes, and those of the others put beside them.

    Parameters
    ----------
    group : Group
    counts : sequence of int
        Rows of each data set in a batch. Row i of all is process i mod n's: so each has as many of each data set as any
        other, or one more or less.

    Attributes
    ----------
    total : int
        Rows, in all processes together, of what goes through the network.
    places : Tensor of int64, shape (own rows,)
        Where among them this process's are.
    counted : bool
        False if the rows are there for the form only, because none of them is this process's.
    """

    def __init__(self, group: Group, counts: Sequence[int]) -> None:
        self.group = group
        self._counts = list(counts)
        self._set_of_place = torch.repeat_interleave(torch.arange(len(self._counts)), torch.tensor(self._counts))
        self.total = sum(self._counts)
        self.places = torch.arange(group.rank, self.total, group.size)
        self.counted = True

    def mine(self, sets: Sequence[Tensor]) -> list[Tensor]:
        """Return this process's rows of each data set's, on its device."""
        return [rows[self._places_in(index)].to(self.group.device) for index, rows in enumerate(sets)]

    def gather(self, rows: Tensor) -> Tensor:
        """Put the rows of all processes together, in the batch's order: shape (own rows, ...) to (total, ...)."""
        gathered: Tensor = _Gather.apply(rows, self.places, self.total, self.group)  # type: ignore[no-untyped-call]
        return gathered

    def of_set(self, index: int, path: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Return what a path says of all rows of one data set, given this process's of them."""
        with self.rows(self._counts[index], self._places_in(index)):
            return self.gather(path(rows))

    @contextmanager
    def rows(self, total: int, places: Tensor, counted: bool = True) -> Iterator[None]:
        """Let fewer rows go through the layers inside."""
        before = self.total, self.places, self.counted
        self.total, self.places, self.counted = total, places, counted
        try:
            yield
        finally:
            self.total, self.places, self.counted = before

    def _places_in(self, index: int) -> Tensor:
        own = self.places[self._set_of_place[self.places] == index]
        return own - sum(self._counts[:index])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, total: int, group: Group) -> Tensor:
        ctx.places, ctx.size = places, group.size
        spread = rows.new_zeros((total, *rows.shape[1:]))
        spread[places.to(rows.device)] = rows
        return group.sum(spread)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        # the loss is the same in all processes, and so are its gradients
        (gradient,) = gradients
        return ctx.size * gradient[ctx.places.to(gradient.device)], None, None, None


class _Standardise(torch.autograd.Function):
    """Batch normalisation (Ioffe & Szegedy 2015) of planes whose rows are spread over processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, layer: GlobalBatchNorm
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + layer.eps))
        ctx.batch, ctx.counted = layer.batch, layer.batch.counted
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=layer.eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, mean, inverse = ctx.saved_tensors
        standardised = (x - mean[:, None, None]) * inverse[:, None, None]
        bias_gradient = gradient.sum(dim=(0, 2, 3))
        weight_gradient = (gradient * standardised).sum(dim=(0, 2, 3))
        count = gradient.new_full((1,), x.numel() / x.shape[1])
        sums = ctx.batch.group.sum(ctx.counted * torch.cat([bias_gradient, weight_gradient, count]))
        of_mean, of_deviation = (sums[:-1] / sums[-1]).chunk(2)
        centred = gradient - of_mean[:, None, None] - standardised * of_deviation[:, None, None]
        x_gradient = ctx.counted * centred * (weight * inverse)[:, None, None]
        return x_gradient, weight_gradient, bias_gradient, None, None, None


class GlobalBatchNorm(nn.Module):
    """Takes the place of a `torch.nn.BatchNorm2d` in training, with its weights and buffers under the same names."""

    def __init__(self, like: nn.BatchNorm2d, batch: GlobalBatch) -> None:
        super().__init__()
        self.batch = batch
        assert like.momentum is not None, "torch would take the mean over all steps"
        self.eps, self.momentum = like.eps, like.momentum
        self.weight, self.bias = like.weight, like.bias
        for name, buffer in like.named_buffers():
            self.register_buffer(name, buffer)
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, shape (own rows, planes, height, width), by mean and variance over the rows of all processes."""
        with torch.no_grad():
            mean, variance, count = self._moments(x)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        normalised: Tensor = _Standardise.apply(x, self.weight, self.bias, mean, variance, self)  # type: ignore[no-untyped-call]
        return normalised

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        group = self.batch.group
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        count = x.new_full((1,), self.batch.counted * x.numel() / x.shape[1])
        # of each process apart: the difference of two large sums would lose what is small between them
        parts = x.new_zeros((group.size, 2 * len(mean) + 1))
        parts[group.rank] = torch.cat([mean, variance, count])
        parts = group.sum(parts)
        shares = parts[:, -1:] / parts[:, -1:].sum()
        means, variances = parts[:, :-1].chunk(2, dim=1)
        mean = (shares * means).sum(dim=0)
        variance = (shares * (variances + (means - mean).square())).sum(dim=0)
        return mean, variance, parts[:, -1].sum()


class _GlobalWindowDropout(nn.Module):
    def __init__(self, like: WindowDropout, batch: GlobalBatch) -> None:
        super().__init__()
        self.batch, self.share, self.time_axis = batch, like.share, like.time_axis

    def forward(self, x: Tensor) -> Tensor:
        if self.share == 0:
            return x
        shape = [self.batch.total, *x.shape[1:]]
        shape[self.time_axis] = 1
        kept = 1 - self.share
        mask = torch.empty(shape, dtype=x.dtype).bernoulli_(kept).div_(kept)
        return x * mask[self.batch.places].to(x.device)


class _GlobalDropout(nn.Module):
    def __init__(self, like: nn.Dropout, batch: GlobalBatch) -> None:
        super().__init__()
        self.batch, self.share = batch, like.p

    def forward(self, x: Tensor) -> Tensor:
        if self.share == 0:
            return x
        # torch draws a mask in the order in which the input lies in memory
        strides = torch.empty_like(x).stride()
        order = sorted(range(x.ndim), key=lambda axis: -strides[axis])
        shape = (self.batch.total, *x.shape[1:])
        kept = 1 - self.share
        mask = torch.empty_permuted(shape, order, dtype=x.dtype).bernoulli_(kept).div_(kept)
        return x * mask[self.batch.places].to(x.device)


class _GlobalPathDropout(nn.Module):
    def __init__(self, like: PathDropout, batch: GlobalBatch) -> None:
        super().__init__()
        self.batch, self.share = batch, like.share

    def forward(self, scores: Tensor, windows: Tensor, path: Callable[[Tensor], Tensor]) -> Tensor:
        kept = torch.rand(self.batch.total) >= self.share
        total = int(kept.sum())
        if total == 0:
            return scores
        places = self.batch.places
        own = torch.nonzero(kept[places]).squeeze(1)
        if len(own) == 0:
            # the others wait for this process's part in the statistics of the batch, which is nothing
            with self.batch.rows(total, torch.zeros(1, dtype=torch.int64), counted=False):
                return scores + 0 * path(windows[:1]).sum()
        among_kept = (torch.cumsum(kept, 0) - 1)[places[own]]
        own = own.to(scores.device)
        with self.batch.rows(total, among_kept):
            return scores.index_add(0, own, path(windows[own]) / (1 - self.share))


def spread_over(network: nn.Module, batch: GlobalBatch) -> None:
    """Replace the layers that rows of a batch meet in, or that draw random numbers for each of them.

    Names and values of the network's state stay what they are.

    Parameters
    ----------
    network : nn.Module
        In training mode, to be used for training only.
    batch : GlobalBatch
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, GlobalBatchNorm(layer, batch))
            elif isinstance(layer, WindowDropout):
                setattr(parent, name, _GlobalWindowDropout(layer, batch))
            elif isinstance(layer, nn.Dropout):
                setattr(parent, name, _GlobalDropout(layer, batch))
            elif isinstance(layer, PathDropout):
                setattr(parent, name, _GlobalPathDropout(layer, batch))
