"""From the features of a window of frames to its valence and arousal: inputs, CRNN and readout in one module."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from model.crnn import CRNN, CRNNParameters
from model.features import FeatureParameters
from model.harmony import Harmony


@dataclass(frozen=True)
class NetworkParameters:
    """Which inputs the network takes and how many frames it hears.

    Attributes
    ----------
    window : int
        Frames that the network hears at once when it tracks.
    columns : tuple of str
        Groups of columns it takes: ``logmel_mean``, ``logmel_std``, ``harmony``.
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
    linear_path : bool
        Add what is linear in the inputs' mean and standard deviation over the window (`model.crnn.LinearPath`).
    crnn : CRNNParameters
        Sizes of the CRNN.
    """

    window: int = 20
    columns: tuple[str, ...] = ("logmel_mean", "logmel_std", "harmony")
    remove_level: bool = True
    dynamic_range: float = 80.0
    split_planes: bool = False
    members: int = 1
    linear_path: bool = False
    crnn: CRNNParameters = field(default_factory=CRNNParameters)

    def __post_init__(self) -> None:
        """Refuse a window or columns that no network can take.

        Raises
        ------
        ValueError
            If `window`, `columns` or `members` is out of its range.
        """
        if not 2 <= self.window <= 600:
            raise ValueError(f"window must be from 2 to 600 frames, not {self.window}")
        if not isinstance(self.members, int) or not 1 <= self.members <= 16:
            raise ValueError(f"members must be a whole number from 1 to 16, not {self.members!r}")
        known = ("logmel_mean", "logmel_std", "harmony")
        if not self.columns or any(c not in known for c in self.columns):
            raise ValueError(f"columns must be some of {', '.join(known)}, not {self.columns}")
        if self.split_planes and "harmony" in (self.columns[0], *self.columns[:-1]):
            raise ValueError(f"with split_planes, harmony comes last and not alone, unlike in {self.columns}")

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object."""
        return asdict(self)


class EmotionNetwork(nn.Module):
    """The whole function from a window's features to valence and arousal; what a checkpoint holds.

    Parameters
    ----------
    feature_parameters : FeatureParameters
        The layout of the feature rows that it is given.
    parameters : NetworkParameters
        Inputs and sizes.
    """

    def __init__(self, feature_parameters: FeatureParameters, parameters: NetworkParameters) -> None:
        super().__init__()
        self.feature_parameters = feature_parameters
        self.network_parameters = parameters
        self.harmony = Harmony()
        columns = sum(
            Harmony.column_count if name == "harmony" else feature_parameters.mel_bands for name in parameters.columns
        )
        spectral = [name for name in parameters.columns if name != "harmony"]
        split = parameters.split_planes
        self.crnn = CRNN(
            columns,
            parameters.crnn,
            planes=len(spectral) if split else 1,
            beside=Harmony.column_count * ("harmony" in parameters.columns) if split else 0,
            members=parameters.members,
            linear_path=parameters.linear_path,
        )
        self.register_buffer("input_mean", torch.zeros(columns))
        self.register_buffer("input_std", torch.ones(columns))
        self.input_mean: Tensor
        self.input_std: Tensor

    def inputs(self, features: Tensor) -> Tensor:
        """Turn feature rows into the network's inputs, before standardisation.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count)
            Rows as `Frontend` gives them, oldest frame first.

        Returns
        -------
        Tensor, shape (batch, frames, columns)
        """
        p = self.network_parameters
        where = self.feature_parameters.columns
        groups = []
        for name in p.columns:
            if name == "harmony":
                groups.append(self.harmony(features[..., where["logchroma"]]))
            elif name == "logmel_mean":
                logmel = features[..., where[name]]
                if p.remove_level:
                    loudest = logmel.amax(dim=(1, 2), keepdim=True)
                    logmel = torch.maximum(logmel, loudest - p.dynamic_range)
                    logmel = logmel - logmel.mean(dim=(1, 2), keepdim=True)
                groups.append(logmel)
            else:
                groups.append(features[..., where[name]])
        return torch.cat(groups, dim=-1)

    def set_standardisation(self, features: Tensor) -> None:
        """Take mean and standard deviation of the inputs, and of the linear path's, from windows of training features.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count)
        """
        inputs = self.inputs(features)
        self.input_mean.copy_(inputs.mean(dim=(0, 1)))
        self.input_std.copy_(inputs.flatten(end_dim=1).std(dim=0).clamp_min(1e-3))
        if self.crnn.linear_path is not None:
            self.crnn.linear_path.set_standardisation(self._standardised(inputs))

    def forward(self, features: Tensor) -> Tensor:
        """Estimate every frame of the windows.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count)
            Rows as `Frontend` gives them, oldest frame first.

        Returns
        -------
        Tensor, shape (batch, frames, 2)
            Valence and arousal in [-1, 1].
        """
        return self.forward_members(features).mean(dim=2)

    def forward_members(self, features: Tensor) -> Tensor:
        """Estimate every frame of the windows with every member, shape (batch, frames, members, 2)."""
        output: Tensor = self.crnn(self._standardised(self.inputs(features)))
        return output

    def _standardised(self, inputs: Tensor) -> Tensor:
        return (inputs - self.input_mean) / self.input_std

    def estimate(self, features: Tensor, lag: int = 0) -> Tensor:
        """Estimate the frame `lag` frames before the newest one.

        At lag 0 this is the mean over the window's outputs, because the newest frame is where a bidirectional
        recurrence knows least. At a lag it is the mean over the outputs that lie evenly around that frame.

        Parameters
        ----------
        features : Tensor, shape (batch, frames, feature_count)
            The window, or, while fewer frames have been heard, the frames so far.
        lag : int
            Frames to look back, fewer than `frames`.

        Returns
        -------
        Tensor, shape (batch, 2)
            Valence and arousal in [-1, 1].
        """
        outputs: Tensor = self(features)
        if lag == 0:
            return outputs.mean(dim=1)
        described = outputs.shape[1] - 1 - lag
        reach = min(lag, described)
        return outputs[:, described - reach : described + reach + 1].mean(dim=1)
