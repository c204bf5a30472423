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
_LOG_MAGNITUDE = math.log(10) / 20


class Harmony(nn.Module):
    """Harmony columns from a window of log-chroma.

    `column_count` columns per frame and chroma: the best major and minor key's fit (correlation with the profile so
    far) and their difference; the profile so far and the frame's own profile, both turned so that the tonic of the
    better key comes first; the entropies and DFT magnitudes of both; the distance to the frame before.
    """

    column_count = 3 + 2 * _PITCH_CLASSES + 2 + 2 * _DFT_MAGNITUDES + 1

    def __init__(self) -> None:
        super().__init__()
        # even in a network that only shows its shapes: without values, the same takes fifty times as long
        with torch.device("cpu"):
            self._register_tables()

    def _register_tables(self) -> None:
        classes = torch.arange(_PITCH_CLASSES)
        keys = torch.stack(
            [
                torch.roll(_standardised(torch.tensor(profile)), tonic)
                for profile in (_MAJOR_PROFILE, _MINOR_PROFILE)
                for tonic in range(_PITCH_CLASSES)
            ]
        )
        turns = (classes[:, None] + classes) % _PITCH_CLASSES
        angles = 2 * math.pi / _PITCH_CLASSES * torch.outer(classes, torch.arange(1, _DFT_MAGNITUDES + 1))
        unit, ones = torch.eye(_PITCH_CLASSES), torch.ones(_PITCH_CLASSES, 1)
        tables = {
            "sums": torch.kron(torch.eye(3), ones @ ones.T),
            "keys": keys.T / _PITCH_CLASSES,
            # of each key, major or minor
            "turns": torch.cat([turns, turns + _PITCH_CLASSES], dim=1).repeat(2, 1),
            "entropies": torch.kron(torch.eye(2), -ones / math.log(_PITCH_CLASSES)),
            "waves": torch.kron(torch.eye(2), torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)),
            "wave_sums": torch.kron(torch.eye(2), torch.eye(_DFT_MAGNITUDES).repeat(2, 1)),
            "steps": torch.cat([unit, -unit]),
        }
        for name, table in tables.items():
            self.register_buffer(f"_{name}", table, persistent=False)
        self._sums: Tensor
        self._keys: Tensor
        self._turns: Tensor
        self._entropies: Tensor
        self._waves: Tensor
        self._wave_sums: Tensor
        self._steps: Tensor

    def forward(self, logchroma: Tensor) -> Tensor:
        """Compute the harmony columns.

        Parameters
        ----------
        logchroma : Tensor, shape (batch, window, chromas * 12)
            Pitch classes in dB, of their energy or their notes, or of one behind the other.

        Returns
        -------
        Tensor, shape (batch, window, chromas * column_count)
        """
        return self.columns_of(self.profiles(logchroma))

    def profiles(self, logchroma: Tensor) -> Tensor:
        """Return what a window's frames are made of: the magnitudes so far, their own, and those of the frame before.

        Parameters
        ----------
        logchroma : Tensor, shape (batch, window, chromas * 12)
            As for `forward`.

        Returns
        -------
        Tensor, shape (batch, window, chromas, 36), or (batch, window, 36) of one chroma
        """
        if logchroma.shape[-1] > _PITCH_CLASSES:
            # unflatten and flatten would become operators that ask for shapes
            logchroma = torch.stack(torch.split(logchroma, _PITCH_CLASSES, dim=-1), dim=2)
        # magnitudes, not energies: the loudest partials would otherwise hide the chord's other notes
        magnitudes = torch.exp((logchroma - logchroma.amax(dim=(1, -1), keepdim=True)) * _LOG_MAGNITUDE)
        before = torch.cat([magnitudes[:, :1], magnitudes[:, :-1]], dim=1)
        return torch.cat([torch.cumsum(magnitudes, dim=1), magnitudes, before], dim=-1)

    def columns_of(self, profiles: Tensor) -> Tensor:
        """Compute the harmony columns of frames, each by itself.

        Parameters
        ----------
        profiles : Tensor, shape (batch, frames, chromas, 36) or (batch, frames, 36)
            From `profiles`; of one window or of several.

        Returns
        -------
        Tensor, shape (batch, frames, chromas * column_count)
        """
        # products with tables of zeros and ones instead of a call for each part: there are too few numbers for more
        shares = profiles / (profiles @ self._sums + _TINY)
        both = shares[..., : 2 * _PITCH_CLASSES]

        fits = _standardised(shares[..., :_PITCH_CLASSES]) @ self._keys
        best_major = fits[..., :_PITCH_CLASSES].amax(dim=-1, keepdim=True)
        best_minor = fits[..., _PITCH_CLASSES:].amax(dim=-1, keepdim=True)
        waves = both @ self._waves
        change = (shares[..., _PITCH_CLASSES:] @ self._steps).abs().sum(dim=-1, keepdim=True)
        columns = torch.cat(
            [
                best_major,
                best_minor,
                best_major - best_minor,
                torch.gather(both, -1, self._turns[fits.argmax(dim=-1)]),
                (both * torch.log(both + _TINY)) @ self._entropies,
                torch.sqrt((waves * waves) @ self._wave_sums + _TINY**2),
                change,
            ],
            dim=-1,
        )
        return columns if columns.ndim == 3 else torch.cat(columns.unbind(2), dim=-1)


def _standardised(profile: Tensor) -> Tensor:
    centred = profile - profile.mean(dim=-1, keepdim=True)
    return centred / ((centred * centred).mean(dim=-1, keepdim=True).sqrt() + _TINY)
