"""What training minimises.

All functions take ``outputs`` of shape (batch, frames, 2) and labels that broadcast to it; NaN labels count for
nothing. Every output of a window has a label (`model.network.EmotionNetwork.estimate` publishes their mean).
"""

from __future__ import annotations

import torch
from torch import Tensor


def pair_loss(outputs: Tensor, labels: Tensor, concordance: float) -> Tensor:
    """Mean squared error plus a share of 1 - CCC over the batch, meant over the two dimensions.

    Parameters
    ----------
    outputs, labels : Tensor, shape (batch, frames, 2)
    concordance : float
        Weight of 1 - CCC, which keeps the estimates' spread from shrinking.

    Returns
    -------
    Tensor, shape ()
    """
    known = ~labels.isnan()
    count = known.sum(dim=(0, 1)).clamp_min(1)
    x = torch.where(known, outputs, torch.zeros_like(outputs))
    y = torch.where(known, labels, torch.zeros_like(labels))
    x_mean, y_mean = x.sum(dim=(0, 1)) / count, y.sum(dim=(0, 1)) / count
    x_centred, y_centred = (x - x_mean) * known, (y - y_mean) * known
    covariance = (x_centred * y_centred).sum(dim=(0, 1)) / count
    spreads = (x_centred**2 + y_centred**2).sum(dim=(0, 1)) / count
    ccc = 2 * covariance / (spreads + (x_mean - y_mean) ** 2 + 1e-6)
    squared_error = ((x - y) ** 2).sum(dim=(0, 1)) / count
    return (squared_error + concordance * (1 - ccc)).mean()


def sign_loss(outputs: Tensor, signs: Tensor, margin: float) -> Tensor:
    """Hinge loss: how far outputs fall short of `margin` on the labelled side of zero.

    Parameters
    ----------
    outputs, signs : Tensor, shape (batch, frames, 2)
        Signs are -1 or 1.
    margin : float
        Outputs beyond it cost nothing, so a clip may be as strong as it is.

    Returns
    -------
    Tensor, shape ()
    """
    return torch.relu(margin - signs * outputs).mean()
