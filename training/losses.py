"""What training minimises.

All functions take ``outputs`` of shape (batch, frames, members, 2) and ``labels`` of shape (batch, frames, 2). Every
output of a window is trained, because `model.network.EmotionNetwork.estimate` publishes their mean; every member by
itself, because members that only had to be right together would not average out each other's errors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SATURATED = 0.999
"""Where an output's atanh is taken to end."""


def pair_loss(outputs: Tensor, labels: Tensor, concordance: float) -> Tensor:
    """Mean squared error plus a share of 1 - CCC over the batch, each the mean over members and dimensions.

    Parameters
    ----------
    outputs : Tensor, shape (batch, frames, members, 2)
    labels : Tensor, shape (batch, frames, 2)
        NaN where there is none.
    concordance : float
        Weight of 1 - CCC, which keeps the estimates' spread from shrinking.

    Returns
    -------
    Tensor, shape ()
    """
    labels = labels.unsqueeze(2)
    known = ~labels.isnan()
    count = known.sum(dim=(0, 1)).clamp_min(1)
    zero = outputs.new_zeros(())
    x, y = torch.where(known, outputs, zero), torch.where(known, labels, zero)
    x_mean, y_mean = x.sum(dim=(0, 1)) / count, y.sum(dim=(0, 1)) / count
    x_centred, y_centred = (x - x_mean) * known, (y - y_mean) * known
    covariance = (x_centred * y_centred).sum(dim=(0, 1)) / count
    spreads = (x_centred**2 + y_centred**2).sum(dim=(0, 1)) / count
    ccc = 2 * covariance / (spreads + (x_mean - y_mean) ** 2 + 1e-6)
    squared_error = ((x - y) ** 2).sum(dim=(0, 1)) / count
    return (squared_error + concordance * (1 - ccc)).mean()


def sign_loss(outputs: Tensor, signs: Tensor, scale: float) -> Tensor:
    """Logistic loss: the negative log-likelihood of signs whose log-odds are `scale` times the outputs' atanh.

    Parameters
    ----------
    outputs : Tensor, shape (batch, frames, members, 2)
    signs : Tensor, shape (batch, frames, 2)
        -1 or 1.
    scale : float
        The higher, the nearer to zero outputs may stay that are sure of a sign; with 6, an output of 0.25 says that it
        is right four times in five.

    Returns
    -------
    Tensor, shape ()
    """
    scores = torch.atanh(outputs.clamp(-_SATURATED, _SATURATED))
    return functional.softplus(-scale * signs.unsqueeze(2) * scores).mean()


def spread_loss(estimates: Tensor, stds: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of labels under normal distributions around estimates, without its constant.

    Parameters
    ----------
    estimates, stds, labels : Tensor, shape (batch, 2)
        NaN where there is no label.

    Returns
    -------
    Tensor, shape ()
    """
    known = ~labels.isnan()
    deviation = (torch.where(known, labels, estimates) - estimates) / stds
    likelihood = (0.5 * deviation**2 + torch.log(stds)) * known
    return likelihood.sum() / known.sum().clamp_min(1)
