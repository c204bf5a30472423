"""Windows of features as another microphone in another room would hear them.

Works on features instead of audio, because that costs nothing: an equaliser adds to log-mel means and log-chroma;
noise fills up what is soft and evens out how much it moves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.features import FeatureParameters


def augment(
    features: Tensor, parameters: FeatureParameters, equaliser: float, noise_share: float, generator: torch.Generator
) -> Tensor:
    """Give every window a random equaliser curve, and some of them a random noise floor.

    Parameters
    ----------
    features : Tensor, shape (batch, frames, feature_count or more)
        What comes behind the frontend's columns, an ear's, stays as it is.
    parameters : FeatureParameters
        Their layout.
    equaliser : float
        Standard deviation in dB of each of the curve's slow terms (a tilt and three cosines).
    noise_share : float
        Share of windows that get noise, 10 to 50 dB below their loudest mel band.
    generator : torch.Generator

    Returns
    -------
    Tensor, of the shape of `features`
    """
    batch = len(features)
    mean, std, chroma = (features[..., where] for where in parameters.columns.values())
    ear = features[..., parameters.feature_count :]

    height = torch.linspace(0, 1, parameters.mel_bands)
    terms = torch.cos(torch.pi * torch.outer(torch.arange(1, 5), height))
    curve = torch.randn(batch, 4, generator=generator) @ terms * equaliser
    mean = mean + curve[:, None]

    depth = 10 + 40 * torch.rand(batch, 1, 1, generator=generator)
    noisy = torch.rand(batch, 1, 1, generator=generator) < noise_share
    floor = mean.amax(dim=(1, 2), keepdim=True) - torch.where(noisy, depth, torch.full_like(depth, 200.0))
    tilt = 3 * torch.randn(batch, 1, 1, generator=generator) * (2 * height - 1)
    with_noise = torch.logaddexp(mean * _NEPERS, (floor + tilt) * _NEPERS) / _NEPERS
    std = std * torch.pow(10.0, (mean - with_noise) / 10)

    chroma_floor = chroma.amax(dim=(1, 2), keepdim=True) - torch.where(noisy, depth, torch.full_like(depth, 200.0))
    chroma = torch.logaddexp(chroma * _NEPERS, chroma_floor * _NEPERS) / _NEPERS
    return torch.cat([with_noise, std, chroma, ear], dim=-1)


def splice(histories: Tensor, window: int, share: float, generator: torch.Generator) -> Tensor:
    """Let some streams have heard other music before, as when one song follows another.

    Parameters
    ----------
    histories : Tensor, shape (batch, frames, columns)
    window : int
        Newest frames that stay as they are.
    share : float
        Share of the histories that begin with another's frames, up to a random frame before the window.
    generator : torch.Generator

    Returns
    -------
    Tensor, of the shape of `histories`
    """
    batch, frames = histories.shape[:2]
    if frames <= window or share == 0:
        return histories
    spliced = torch.rand(batch, generator=generator) < share
    cuts = torch.randint(1, frames - window + 1, (batch,), generator=generator)
    others = histories.roll(1, dims=0)
    replaced = spliced[:, None] & (torch.arange(frames) < cuts[:, None])
    return torch.where(replaced[..., None], others, histories)


_NEPERS = 0.23025850929940458
"""ln(10) / 10: from dB to the natural logarithm of an energy."""
