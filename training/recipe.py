"""Every choice that a training run depends on. The defaults are the recipe of the default checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from model.crnn import CRNNParameters
from model.network import NetworkParameters
from training.random_rooms import COUNT

MEMORY = 120
"""Frames (60 s) that the summary looks back over."""


def default_network(
    window: int = 20, ear_columns: int = 0, small: bool = False, crnn: bool = False
) -> NetworkParameters:
    """Return the network of the bundled checkpoints.

    Parameters
    ----------
    window : int
        Frames that log-mel statistics are taken of, and that a CRNN hears at once.
    ear_columns : int
        Outputs of the ear.
    small : bool
        For the default's ear: with fewer hidden units, so that all weights together stay below 300 thousand.
    crnn : bool
        Put a CRNN beside the summary.

    Returns
    -------
    NetworkParameters
    """
    return NetworkParameters(
        window=window,
        memory=max(window, MEMORY),
        ear_columns=ear_columns,
        split_planes=crnn,
        members=3,
        summary_units=24 if small else 32,
        spread_units=16 if small else 32,
        crnn_dropout=0.5 if crnn else 0.0,
        crnn=CRNNParameters(dropout=0.35) if crnn else None,
    )


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Steps of Adam.
    learning_rate : float
        The CRNN's, at the start; falls to 0 along a half cosine.
    summary_rate : float
        The same for the summary and for the standard deviations. The CRNN, which learns faster, is slower on purpose:
        otherwise it knows the training windows by heart before the summary has learned what songs have in common.
    weight_decay : float
        Of the summary's weights (AdamW).
    windows_per_step : mapping
        Windows of each data set in a batch. Data sets that are not there, or not named here, are not trained on.
    shortest_window, short_share : int, float
        This share of the batches has windows of from `shortest_window` frames up to one less than the network's, so
        that estimates make sense while a stream warms up.
    not_music_windows : int
        Windows in a batch of sounds that are not music.
    not_music_weight : float
        Weight of the loss that keeps estimates of them neutral.
    concordance : float
        Weight of 1 - CCC, within each data set, beside the squared error.
    sign_weight : float
        Weight of the loss on signs beside the loss on pairs.
    sign_scale : float
        How far from zero outputs need not be; see `training.losses.sign_loss`.
    equaliser, noise_share : float
        See `training.augmentation.augment`.
    rooms : int
        Rooms of `training.random_rooms`, in one of which each clip is heard, too; 0 for none.
    room_share : float
        Share of the windows of music that are of what is heard in a room.
    splice_share : float
        Share of the histories that begin with other music; see `training.augmentation.splice`.
    averaging : float
        The network kept is the exponential average of the weights over the steps, which keeps this share of the
        old average in each.
    """

    steps: int = 1000
    learning_rate: float = 5e-4
    summary_rate: float = 2e-3
    weight_decay: float = 1e-2
    windows_per_step: Mapping[str, int] = field(
        default_factory=lambda: {"vgmidi": 80, "emotify": 64, "4q": 96, "emopia": 44, "own music": 64}
    )
    shortest_window: int = 3
    short_share: float = 0.35
    not_music_windows: int = 16
    not_music_weight: float = 0.1
    concordance: float = 0.3
    sign_weight: float = 0.5
    sign_scale: float = 6.0
    equaliser: float = 3.0
    noise_share: float = 0.5
    rooms: int = COUNT
    room_share: float = 0.1
    splice_share: float = 0.4
    averaging: float = 0.99

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON object."""
        return {**asdict(self), "windows_per_step": dict(self.windows_per_step)}


def adapted_recipe(steps: int | None = None, rooms: int | None = None) -> Recipe:
    """Return the recipe with other numbers of steps and rooms, where they are given."""
    recipe = Recipe()
    return replace(
        recipe, steps=recipe.steps if steps is None else steps, rooms=recipe.rooms if rooms is None else rooms
    )
