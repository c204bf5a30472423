"""From the features of frames to their valence and arousal: inputs, CRNN, summary and readout in one module."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from model.crnn import CRNN, CRNNParameters
from model.errors import shown
from model.features import FeatureParameters
from model.harmony import Harmony
from model.kinds import check_kinds
from model.summary import SpreadPath, Standardisation, SummaryPath, statistics_of

_SMALLEST_INPUT_STD = 1e-3
_SMALLEST_STATISTIC_STD = 1e-2


@dataclass(frozen=True)
class NetworkParameters:
    """Which inputs the network takes and how many frames it hears.

    Attributes
    ----------
    window : int
        Frames that the CRNN hears at once when it tracks.
    memory : int
        Frames that the summary remembers harmony and the ear's columns of, at least `window`; 0 for no more than the
        window. Log-mel energies of a minute would tell it the recording, which it would learn by heart.
    columns : tuple of str
        Groups of columns that the CRNN takes: ``logmel_mean``, ``logmel_std``, ``harmony``; harmony comes last.
    ear_columns : int
        Columns that an ear (`model.ear`) adds behind the frontend's; only the summary takes them.
    remove_level : bool
        Subtract the window's mean log-mel level, so that gain does not matter (a microphone's is arbitrary).
    dynamic_range : float
        dB below the window's loudest band at which the log-mel means are cut off: what a noise floor would hide.
    split_planes : bool
        Show the convolution the log-mel groups one behind the other, as the planes of a picture, and let harmony go
        past it: neighbours in its columns are no neighbours in pitch. Otherwise all columns are one plane, as in
        the paper.
    members : int
        Networks with weights of their own whose estimates are averaged; they run as one, at little more cost.
    summary_units : int or None
        Hidden units of the path from the inputs' statistics (`model.summary.SummaryPath`); 0 for a linear one, None
        for none.
    spread_units : int
        Hidden units of the path that gives the standard deviations (`model.summary.SpreadPath`); 0 for none.
    crnn_dropout : float
        Share of the windows in training for which the CRNN is left out, so that the summary learns to do without it
        (stochastic depth, Huang et al. 2016).
    crnn : CRNNParameters
        Sizes of the CRNN.
    """

    window: int = 20
    memory: int = 0
    columns: tuple[str, ...] = ("logmel_mean", "logmel_std", "harmony")
    ear_columns: int = 0
    remove_level: bool = True
    dynamic_range: float = 80.0
    split_planes: bool = False
    members: int = 1
    summary_units: int | None = None
    spread_units: int = 0
    crnn_dropout: float = 0.0
    crnn: CRNNParameters = field(default_factory=CRNNParameters)

    def __post_init__(self) -> None:
        """Refuse a window or columns that no network can take.

        Raises
        ------
        ValueError
            If a value is of the wrong kind or out of its range, or columns or paths do not go together.
        """
        check_kinds(self)
        if not 0 < self.dynamic_range <= 1000:
            raise ValueError(f"dynamic_range must be between 0 and 1000 dB, not {self.dynamic_range}")
        if not 2 <= self.window <= 600:
            raise ValueError(f"window must be from 2 to 600 frames, not {self.window}")
        if self.memory and not self.window <= self.memory <= 2400:
            raise ValueError(f"memory must be from the window's {self.window} to 2400 frames, not {self.memory}")
        for name, smallest, limit in (("members", 1, 16), ("ear_columns", 0, 4096), ("spread_units", 0, 1024)):
            value = getattr(self, name)
            if not smallest <= value <= limit:
                raise ValueError(f"{name} must be a whole number from {smallest} to {limit}, not {value!r}")
        if self.summary_units is not None and not 0 <= self.summary_units <= 1024:
            raise ValueError(f"summary_units must be from 0 to 1024, not {self.summary_units}")
        if self.summary_units is None and (self.memory or self.ear_columns or self.spread_units):
            raise ValueError("memory, ear_columns and spread_units need a summary: set summary_units")
        if not 0 <= self.crnn_dropout < 1 or (self.crnn_dropout and self.summary_units is None):
            raise ValueError(f"crnn_dropout must be from 0 to below 1, and needs a summary, not {self.crnn_dropout}")
        known = ("logmel_mean", "logmel_std", "harmony")
        if not self.columns or any(c not in known for c in self.columns) or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must be some of {', '.join(known)}, not {shown(', '.join(self.columns))}")
        if "harmony" in self.columns[:-1]:
            raise ValueError(f"harmony comes last, unlike in {self.columns}")
        if self.split_planes and self.columns[0] == "harmony":
            raise ValueError("with split_planes, harmony comes not alone")
        if self.memory and not self.ear_columns and "harmony" not in self.columns:
            raise ValueError("memory needs harmony or ear_columns: nothing else is remembered")

    @property
    def history(self) -> int:
        """Frames that the whole network looks back over."""
        return max(self.window, self.memory)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object."""
        return asdict(self)


class EmotionNetwork(nn.Module):
    """The whole function from frames' features to valence and arousal; what a checkpoint holds.

    Parameters
    ----------
    feature_parameters : FeatureParameters
        The layout of the feature rows that it is given; an ear's columns come behind them.
    parameters : NetworkParameters
        Inputs and sizes.
    """

    def __init__(self, feature_parameters: FeatureParameters, parameters: NetworkParameters) -> None:
        super().__init__()
        self.feature_parameters = feature_parameters
        self.network_parameters = parameters
        self.harmony = Harmony()
        spectral = [name for name in parameters.columns if name != "harmony"]
        harmony = Harmony.column_count * ("harmony" in parameters.columns)
        self._spectral = len(spectral) * feature_parameters.mel_bands
        self._heard = self._spectral + harmony
        split = parameters.split_planes
        self.crnn = CRNN(
            self._heard,
            parameters.crnn,
            planes=len(spectral) if split else 1,
            beside=harmony if split else 0,
            members=parameters.members,
        )
        columns = self._heard + parameters.ear_columns
        self.standardisation = Standardisation(columns)
        self.summary: SummaryPath | None = None
        self.spread: SpreadPath | None = None
        if parameters.summary_units is not None:
            remembered = columns - self._spectral if parameters.memory else 0
            statistics = columns + self._heard + 2 * remembered
            self.statistics_standardisation = Standardisation(statistics)
            self.summary = SummaryPath(parameters.members, statistics, parameters.summary_units)
            if parameters.spread_units:
                self.spread = SpreadPath(statistics, parameters.spread_units)

    def inputs(self, features: Tensor) -> Tensor:
        """Turn feature rows into the network's inputs, before standardisation.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count + ear_columns)
            Rows as `Frontend`, and the ear, give them, oldest frame first.

        Returns
        -------
        Tensor, shape (batch, frames, columns)
        """
        p = self.network_parameters
        where = self.feature_parameters.columns
        groups = []
        for name in p.columns:
            if name == "logmel_mean":
                logmel = features[..., where[name]]
                if p.remove_level:
                    loudest = logmel.amax(dim=(1, 2), keepdim=True)
                    logmel = torch.maximum(logmel, loudest - p.dynamic_range)
                    logmel = logmel - logmel.mean(dim=(1, 2), keepdim=True)
                groups.append(logmel)
            elif name == "logmel_std":
                groups.append(features[..., where[name]])
        return torch.cat([*groups, self._remembered_inputs(features)], dim=-1)

    def set_standardisation(self, histories: list[Tensor]) -> None:
        """Take mean and standard deviation of the inputs, and of their statistics, from training features.

        Parameters
        ----------
        histories : list of Tensor, each of shape (batch, frames, feature_count + ear_columns)
        """
        inputs = [self.inputs(self._window(features)).flatten(end_dim=1) for features in histories]
        self.standardisation.fit(torch.cat(inputs), _SMALLEST_INPUT_STD)
        if self.summary is not None:
            self.statistics_standardisation.fit(
                torch.cat([self._raw_statistics(features, self._newest(features)) for features in histories]),
                _SMALLEST_STATISTIC_STD,
            )

    def statistics(self, features: Tensor) -> Tensor:
        """Return standardised statistics of the inputs over the window and over the memory, shape (batch, n).

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count + ear_columns)
            The frames so far; those before `NetworkParameters.history` are not looked at.
        """
        return self._statistics(features, self._newest(features))

    def members_of(self, window: Tensor, statistics: Tensor | None) -> Tensor:
        """Estimate every frame of windows with every member, shape (batch, frames, members, 2).

        Parameters
        ----------
        window : Tensor, shape (batch, frames, feature_count + ear_columns)
            At most `NetworkParameters.window` frames.
        statistics : Tensor, shape (batch, n), or None
            From `statistics`; None without a summary.
        """
        return self._members_of(self._standardised(window), statistics)

    def forward_members(self, features: Tensor) -> Tensor:
        """Estimate the window's frames with every member, shape (batch, frames, members, 2)."""
        statistics = self.statistics(features) if self.summary is not None else None
        return self.members_of(self._window(features), statistics)

    def forward(self, features: Tensor) -> Tensor:
        """Estimate every frame of the window.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count + ear_columns)
            Rows as `Frontend` and the ear give them, oldest frame first, up to `NetworkParameters.history`.

        Returns
        -------
        Tensor, shape (batch, at most window, 2)
            Valence and arousal in [-1, 1].
        """
        return self.forward_members(features).mean(dim=2)

    def estimate(self, features: Tensor, lag: int = 0) -> tuple[Tensor, Tensor | None]:
        """Estimate the frame `lag` frames before the newest one.

        At lag 0 the value is the mean over the window's outputs, because the newest frame is where a bidirectional
        recurrence knows least. At a lag it is the mean over the outputs that lie evenly around that frame, in a window
        that ends as soon as that frame is in its middle; the summary hears all that has been heard.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count + ear_columns)
            The frames so far, oldest first, up to `NetworkParameters.history`.
        lag : int
            Frames to look back, fewer than `frames`.

        Returns
        -------
        values : Tensor, shape (batch, 2)
            Valence and arousal in [-1, 1].
        stds : Tensor, shape (batch, 2), or None
            Standard deviations of what listeners say around `values`; None if the network has no such path.
        """
        newest = self._newest(features)
        statistics = self._statistics(features, newest) if self.summary is not None else None
        stds = self.spread(statistics) if self.spread is not None else None
        unheard = max(0, lag - self.network_parameters.window // 2)
        described_window = self._newest(features[:, : features.shape[1] - unheard]) if unheard else newest
        outputs = self._members_of(described_window, statistics).mean(dim=2)
        if lag == 0:
            return outputs.mean(dim=1), stds
        described = outputs.shape[1] - 1 - (lag - unheard)
        reach = min(lag - unheard, described)
        return outputs[:, described - reach : described + reach + 1].mean(dim=1), stds

    def _window(self, features: Tensor) -> Tensor:
        return features[:, -self.network_parameters.window :]

    def _standardised(self, features: Tensor) -> Tensor:
        standardised: Tensor = self.standardisation(self.inputs(features))
        return standardised

    def _newest(self, features: Tensor) -> Tensor:
        return self._standardised(self._window(features))

    def _statistics(self, features: Tensor, standardised_window: Tensor) -> Tensor:
        statistics: Tensor = self.statistics_standardisation(self._raw_statistics(features, standardised_window))
        return statistics

    def _members_of(self, standardised_window: Tensor, statistics: Tensor | None) -> Tensor:
        window = standardised_window[..., : self._heard]
        if self.summary is None:
            return torch.tanh(self.crnn.scores(window))
        scores: Tensor = self.summary(statistics)
        if not self.training:
            return torch.tanh(scores + self.crnn.scores(window))
        scores = scores.repeat(1, window.shape[1], 1, 1)
        dropout = self.network_parameters.crnn_dropout
        kept = torch.rand(len(scores)) >= dropout
        if kept.any():
            scores[kept] += self.crnn.scores(window[kept]) / (1 - dropout)
        return torch.tanh(scores)

    def _remembered_inputs(self, features: Tensor) -> Tensor:
        first = self.feature_parameters.feature_count
        groups = [features[..., first : first + self.network_parameters.ear_columns]]
        if "harmony" in self.network_parameters.columns:
            groups.insert(0, self.harmony(features[..., self.feature_parameters.columns["logchroma"]]))
        return torch.cat(groups, dim=-1)

    def _raw_statistics(self, features: Tensor, standardised_window: Tensor) -> Tensor:
        # how an ear's columns move within seconds tells less of the mood than of the recording
        statistics = [statistics_of(standardised_window, self._heard)]
        if self.network_parameters.memory:
            inputs = self._remembered_inputs(features[:, -self.network_parameters.memory :])
            statistics.append(statistics_of(self.standardisation(inputs, self._spectral)))
        return torch.cat(statistics, dim=-1)
