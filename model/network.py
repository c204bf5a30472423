"""From the features of frames to their valence and arousal: inputs, CRNN, summary and readout in one module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.crnn import CRNN, PathDropout
from model.features import FeatureParameters
from model.harmony import Harmony
from model.network_parameters import NetworkParameters as NetworkParameters
from model.readout import readout, unheard_by_summary
from model.summary import SpreadPath, Standardisation, SummaryPath, statistics_of

_SMALLEST_INPUT_STD = 1e-3
_SMALLEST_STATISTIC_STD = 1e-2
_SILENT_DECIBELS = -1000.0
"""Below the loudest pitch class by more than a float's smallest magnitude."""


class EmotionNetwork(nn.Module):
    """The whole function from frames' features to valence and arousal; what a checkpoint holds.

    Parameters
    ----------
    feature_parameters : FeatureParameters
        The layout of the feature rows that it is given; an ear's columns come behind them.
    parameters : NetworkParameters
        Inputs and sizes.

    Attributes
    ----------
    spectral_columns : int
        How many of the inputs are of mel bands; those of harmony, and then the ear's, come behind them.
    """

    def __init__(self, feature_parameters: FeatureParameters, parameters: NetworkParameters) -> None:
        super().__init__()
        self.feature_parameters = feature_parameters
        self.network_parameters = parameters
        self.harmony = Harmony()
        spectral = [name for name in parameters.columns if name != "harmony"]
        columns = Harmony.column_count * len(feature_parameters.chromas)
        harmony = columns * ("harmony" in parameters.columns)
        self.spectral_columns = len(spectral) * feature_parameters.mel_bands
        self._heard = self.spectral_columns + harmony
        self.crnn: CRNN | None = None
        if parameters.crnn is not None:
            split = parameters.split_planes
            self.crnn = CRNN(
                self._heard,
                parameters.crnn,
                planes=len(spectral) if split else 1,
                beside=harmony if split else 0,
                members=parameters.members,
            )
        self.crnn_dropout = PathDropout(parameters.crnn_dropout)
        columns = self._heard + parameters.ear_columns
        self.standardisation = Standardisation(columns)
        self.summary: SummaryPath | None = None
        self.spread: SpreadPath | None = None
        if parameters.summary_units is not None:
            remembered = columns - self.spectral_columns if parameters.memory else 0
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
        return torch.cat([*self.spectra(features), self._remembered_inputs(features)], dim=-1)

    def spectra(self, features: Tensor) -> list[Tensor]:
        """Return those of the inputs that are of mel bands, in their order; each as `inputs` has it.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count + ear_columns)

        Returns
        -------
        list of Tensor, each of shape (batch, frames, mel_bands)
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
        return groups

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

        Without a CRNN, there is one estimate for all frames of a window together.

        Parameters
        ----------
        window : Tensor, shape (batch, frames, feature_count + ear_columns)
            At most `NetworkParameters.window` frames.
        statistics : Tensor, shape (batch, n), or None
            From `statistics`; None without a summary.
        """
        if self.crnn is None:
            return self._members_of_summary(statistics)
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
            Valence and arousal in [-1, 1]; without a CRNN, of shape (batch, 1, 2) for all frames together.
        """
        return self.forward_members(features).mean(dim=2)

    def estimate(self, features: Tensor, lag: int = 0) -> tuple[Tensor, Tensor | None]:
        """Estimate the frame `lag` frames before the newest one.

        The value is the mean over the outputs that `model.readout` says; the summary hears all that has been heard.
        Without a CRNN, it is what the summary says of the frames that end where `model.readout` says.

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
        if self.crnn is None:
            heard = features.shape[1] - unheard_by_summary(self.network_parameters.window, lag)
            return self._summarised(self.statistics(features[:, :heard]))
        newest = self._newest(features)
        statistics = self._statistics(features, newest) if self.summary is not None else None
        stds = self.spread(statistics) if self.spread is not None else None
        unheard, described = readout(features.shape[1], self.network_parameters.window, lag)
        described_window = self._newest(features[:, : features.shape[1] - unheard]) if unheard else newest
        outputs = self._members_of(described_window, statistics).mean(dim=2)
        return outputs[:, described].mean(dim=1), stds

    def shortest_to_pad(self, lag: int) -> int:
        """Return how many frames a history has at least that `estimate_padded` takes."""
        window = self.network_parameters.window
        if self.crnn is None:
            return window + unheard_by_summary(window, lag)
        return window + readout(window + lag, window, lag)[0]

    def estimate_padded(self, histories: Sequence[Tensor], lag: int = 0) -> tuple[Tensor, Tensor | None]:
        """Estimate as `estimate` does histories of several lengths, at the cost of one batch.

        All of them fill the window; so only what is remembered beyond it differs in length, and of that only
        statistics are taken.

        Parameters
        ----------
        histories : sequence of Tensor, shape (frames, feature_count + ear_columns)
            Of `shortest_to_pad` frames at least.
        lag : int
            Frames to look back.

        Returns
        -------
        values : Tensor, shape (batch, 2)
        stds : Tensor, shape (batch, 2), or None
            As those of `estimate`.
        """
        window = self.network_parameters.window
        if self.crnn is None:
            unheard = unheard_by_summary(window, lag)
            histories = [history[: len(history) - unheard] for history in histories]
        newest = self._newest(torch.stack([history[-window:] for history in histories]))
        statistics = None
        if self.summary is not None:
            raw = [statistics_of(newest, self._heard)]
            if self.network_parameters.memory:
                raw.append(self._padded_statistics([h[-self.network_parameters.memory :] for h in histories]))
            statistics = self.statistics_standardisation(torch.cat(raw, dim=-1))
            if self.crnn is None:
                return self._summarised(statistics)
        stds = self.spread(statistics) if self.spread is not None else None
        unheard, described = readout(window + lag, window, lag)
        described_window = newest
        if unheard:
            described_window = self._newest(
                torch.stack([h[len(h) - unheard - window : len(h) - unheard] for h in histories])
            )
        outputs = self._members_of(described_window, statistics).mean(dim=2)
        return outputs[:, described].mean(dim=1), stds

    def _summarised(self, statistics: Tensor) -> tuple[Tensor, Tensor | None]:
        values = self._members_of_summary(statistics).mean(dim=2)[:, 0]
        return values, self.spread(statistics) if self.spread is not None else None

    def _padded_statistics(self, remembered: Sequence[Tensor]) -> Tensor:
        # behind the end stands silence, which changes no frame's harmony before it
        features = nn.utils.rnn.pad_sequence(list(remembered), batch_first=True, padding_value=_SILENT_DECIBELS)
        counts = torch.tensor([len(history) for history in remembered])
        heard = torch.arange(features.shape[1]) < counts[:, None]
        inputs = self.standardisation(self._remembered_inputs(features), self.spectral_columns)
        return statistics_of(inputs, heard=heard)

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

    def _members_of_summary(self, statistics: Tensor | None) -> Tensor:
        assert self.summary is not None
        return torch.tanh(self.summary(statistics))

    def _members_of(self, standardised_window: Tensor, statistics: Tensor | None) -> Tensor:
        assert self.crnn is not None
        window = standardised_window[..., : self._heard]
        if self.summary is None:
            return torch.tanh(self.crnn.scores(window))
        scores: Tensor = self.summary(statistics)
        if not self.training:
            return torch.tanh(scores + self.crnn.scores(window))
        scores = scores.repeat(1, window.shape[1], 1, 1)
        return torch.tanh(self.crnn_dropout(scores, window, self.crnn.scores))

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
            statistics.append(statistics_of(self.standardisation(inputs, self.spectral_columns)))
        return torch.cat(statistics, dim=-1)
