"""What the paper reports: root-mean-square errors on the 58 evaluation songs of MediaEval 2015.

M. Malik, S. Adavanne, K. Drossos, T. Virtanen, D. Ticha, R. Jarina, "Stacked Convolutional and Recurrent Neural
Networks for Music Emotion Recognition", Sound and Music Computing Conference 2017, tables 1 and 2. Table 2
gives 0.267 for the best valence, the abstract 0.268. Figures that are not given there, or not known here, are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Published:
    """One row of the paper's tables.

    Attributes
    ----------
    valence, arousal, average : float or None
        RMSE; `average` is the mean of the two.
    parameters : int or None
        Of the network, about: the paper rounds to thousands.
    """

    valence: float | None = None
    arousal: float | None = None
    average: float | None = None
    parameters: int | None = None


TABLE_1: Mapping[str, Mapping[int, Published]] = MappingProxyType(
    {
        "opensmile": {
            60: Published(average=0.242),
            30: Published(average=0.236),
            20: Published(average=0.235),
            10: Published(average=0.235),
        },
        "logmel": {
            60: Published(average=0.264),
            30: Published(average=0.260),
            20: Published(average=0.259),
            10: Published(average=0.258),
        },
    }
)
"""The CRNN, by features ((a): the task's baseline features of openSMILE, (b): log-mel) and sequence length."""

TABLE_2: Mapping[str, Published] = MappingProxyType(
    {
        "crnn": Published(0.267, 0.202, 0.235, 30_000),
        "crnn-nb": Published(0.279, 0.231, 0.255, 17_000),
        "dblstm-fusion": Published(0.285, 0.225, 0.255, 12_000_000),
    }
)
"""Systems at their best, on the baseline features; the DBLSTM fusion is that of Li et al., as the paper cites it."""
