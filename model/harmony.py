"""Key-invariant harmony of a window of chroma: what valence needs and log-mel bands do not show.

Every quantity at frame t is computed from the window's frames up to and including t, and none changes when the
music is transposed by semitones or its gain changes (up to the energy floor).

Sources: key profiles from Krumhansl & Kessler 1982 (the probe-tone ratings); DFT of the pitch-class profile after
Quinn 2007 and Amiot 2016.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_PITCH_CLASSES = 12
_DFT_MAGNITUDES = 6
_TINY = 1e-6


class Harmony(nn.Module):
    """Harmony columns from a window of log-chroma.

    `column_count` columns per frame: the best major and minor key's fit (correlation with the profile so far) and
    their difference; the profile so far and the frame's own profile, both turned so that the tonic of the better key
    comes first; the entropies and DFT magnitudes of both; the distance to the frame before.
    """

    column_count = 3 + 2 * _PITCH_CLASSES + 2 + 2 * _DFT_MAGNITUDES + 1

    def __init__(self) -> None:
        super().__init__()
        # even in a network that only shows its shapes: without values, the same takes fifty times as long
        with torch.device("cpu"):
            self._register_tables()

    def _register_tables(self) -> None:
        keys = torch.stack(
            [
                torch.roll(_standardised(torch.tensor(profile)), tonic)
                for profile in (_MAJOR_PROFILE, _MINOR_PROFILE)
                for tonic in range(_PITCH_CLASSES)
            ]
        )
        turns = (torch.arange(_PITCH_CLASSES)[:, None] + torch.arange(_PITCH_CLASSES)) % _PITCH_CLASSES
        angles = (
            2
            * math.pi
            / _PITCH_CLASSES
            * torch.outer(torch.arange(_PITCH_CLASSES), torch.arange(1, _DFT_MAGNITUDES + 1))
        )
        self.register_buffer("_keys", keys, persistent=False)
        self.register_buffer("_turns", turns, persistent=False)
        self.register_buffer("_cosines", torch.cos(angles), persistent=False)
        self.register_buffer("_sines", torch.sin(angles), persistent=False)
        self._keys: Tensor
        self._turns: Tensor
        self._cosines: Tensor
        self._sines: Tensor

    def forward(self, logchroma: Tensor) -> Tensor:
        """Compute the harmony columns.

        Parameters
        ----------
        logchroma : Tensor, shape (batch, window, 12)
            Energy of the pitch classes in dB.

        Returns
        -------
        Tensor, shape (batch, window, column_count)
        """
        # magnitudes, not energies: the loudest partials would otherwise hide the chord's other notes
        magnitudes = torch.pow(10.0, (logchroma - logchroma.amax(dim=(1, 2), keepdim=True)) / 20)
        frame = _as_shares(magnitudes)
        so_far = _as_shares(torch.cumsum(magnitudes, dim=1))

        fits = _standardised(so_far) @ self._keys.T / _PITCH_CLASSES
        best_major = fits[..., :_PITCH_CLASSES].amax(dim=-1)
        best_minor = fits[..., _PITCH_CLASSES:].amax(dim=-1)
        tonic = fits.argmax(dim=-1) % _PITCH_CLASSES
        turn = self._turns[tonic]

        before = torch.cat([frame[:, :1], frame[:, :-1]], dim=1)
        change = (frame - before).abs().sum(dim=-1)
        return torch.cat(
            [
                torch.stack([best_major, best_minor, best_major - best_minor], dim=-1),
                torch.gather(so_far, -1, turn),
                torch.gather(frame, -1, turn),
                torch.stack([_entropy(so_far), _entropy(frame)], dim=-1),
                self._dft_magnitudes(so_far),
                self._dft_magnitudes(frame),
                change[..., None],
            ],
            dim=-1,
        )

    def _dft_magnitudes(self, shares: Tensor) -> Tensor:
        real, imaginary = shares @ self._cosines, shares @ self._sines
        return torch.sqrt(real**2 + imaginary**2 + _TINY**2)


def _as_shares(magnitudes: Tensor) -> Tensor:
    return magnitudes / (magnitudes.sum(dim=-1, keepdim=True) + _TINY)


def _standardised(profile: Tensor) -> Tensor:
    centred = profile - profile.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True).sqrt() + _TINY)


def _entropy(shares: Tensor) -> Tensor:
    return -(shares * torch.log(shares + _TINY)).sum(dim=-1) / math.log(_PITCH_CLASSES)
