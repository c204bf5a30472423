"""Alone or beside a CRNN: paths from statistics of many frames to valence and arousal, and to their uncertainty.

Moods last longer than a CRNN's window, and what is linear in simple statistics is learned from less music than what
a recurrence has to find out ("wide and deep", Cheng et al. 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.crnn import MemberLinear

_INPUT_DROPOUT = 0.5
_HIDDEN_DROPOUT = 0.5
SMALLEST_VARIANCE = 1e-4
LARGEST_DEVIATION = 4.0
"""Statistics are cut off this many standard deviations from their mean: music that is unlike any in training must not
drive the estimate further than music did."""
SMALLEST_STD, LARGEST_STD = 0.02, 1.0
_USUAL_LOG_STD = -1.6


def statistics_of(inputs: Tensor, deviations: int | None = None, heard: Tensor | None = None) -> Tensor:
    """Return means over frames, and then standard deviations.

    Parameters
    ----------
    inputs : Tensor, shape (batch, frames, columns)
    deviations : int, optional
        Of how many columns, from the first, to take the standard deviation; of all if not given.
    heard : Tensor of bool, shape (batch, frames), optional
        Which frames count; all if not given.

    Returns
    -------
    Tensor, shape (batch, columns + deviations)
    """
    if heard is None:
        mean = inputs.mean(dim=1)
        variance = (inputs - mean.unsqueeze(1))[..., :deviations].square().mean(dim=1)
    else:
        shares = heard.unsqueeze(-1) / heard.sum(dim=1)[:, None, None]
        mean = (inputs * shares).sum(dim=1)
        variance = ((inputs - mean.unsqueeze(1))[..., :deviations].square() * shares).sum(dim=1)
    # the root of zero has no gradient
    return torch.cat([mean, torch.sqrt(variance + SMALLEST_VARIANCE)], dim=-1)


class Standardisation(nn.Module):
    """Subtracts the mean and divides by the standard deviation of training music.

    Parameters
    ----------
    columns : int
        How many there are.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("std", torch.ones(columns))
        self.mean: Tensor
        self.std: Tensor

    def fit(self, x: Tensor, smallest: float) -> None:
        """Take mean and standard deviation from rows, shape (n, columns)."""
        self.mean.copy_(x.mean(dim=0))
        self.std.copy_(x.std(dim=0).clamp_min(smallest))

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Standardise the columns from `first` on, shape (..., columns - first)."""
        return (x - self.mean[first:]) / self.std[first:]


class SummaryPath(nn.Module):
    """A linear map of statistics, and one hidden layer beside it, for each member of an ensemble.

    Parameters
    ----------
    members : int
        How many, each with weights of its own.
    statistics : int
        Inputs.
    units : int
        Of the hidden layer; 0 for the linear map alone.
    """

    def __init__(self, members: int, statistics: int, units: int) -> None:
        super().__init__()
        self.members = members
        self.drop_inputs = nn.Dropout(_INPUT_DROPOUT)
        self.drop_hidden = nn.Dropout(_HIDDEN_DROPOUT)
        self.linear = MemberLinear(members, statistics, 2)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.hidden = MemberLinear(members, statistics, units) if units else None
        self.output = MemberLinear(members, units, 2) if units else None

    def forward(self, statistics: Tensor) -> Tensor:
        """Map standardised statistics, shape (batch, statistics), to scores, shape (batch, 1, members, 2)."""
        seen = statistics.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)[:, None, None]
        seen = self.drop_inputs(seen.expand(-1, 1, self.members, -1))
        scores: Tensor = self.linear(seen)
        if self.hidden is not None and self.output is not None:
            scores = scores + self.output(self.drop_hidden(torch.relu(self.hidden(seen))))
        return scores


class SpreadPath(nn.Module):
    """How far estimates lie from what listeners say, as standard deviations (Nix & Weigend 1994).

    `scale` and `exponent` are set after training, so that intervals cover what they should on music that was not
    trained on.

    Parameters
    ----------
    statistics : int
        Inputs.
    units : int
        Of the hidden layer.
    """

    def __init__(self, statistics: int, units: int) -> None:
        super().__init__()
        self.drop_inputs = nn.Dropout(_INPUT_DROPOUT)
        self.hidden = nn.Linear(statistics, units)
        self.output = nn.Linear(units, 2)
        nn.init.zeros_(self.output.weight)
        nn.init.constant_(self.output.bias, _USUAL_LOG_STD)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("exponent", torch.ones(2))
        self.scale: Tensor
        self.exponent: Tensor

    def forward(self, statistics: Tensor) -> Tensor:
        """Map standardised statistics, shape (batch, statistics), to standard deviations, shape (batch, 2)."""
        seen = self.drop_inputs(statistics.clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION))
        return self.stds_of(self.output(torch.relu(self.hidden(seen))))

    def stds_of(self, log_stds: Tensor) -> Tensor:
        """Turn what the layers give into standard deviations within their bounds, shape (batch, 2)."""
        return (torch.exp(log_stds.clamp(-6, 2) * self.exponent) * self.scale).clamp(SMALLEST_STD, LARGEST_STD)
