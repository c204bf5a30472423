"""What a network takes and how large it is, as it travels in a checkpoint; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from model.ear import FRAME_LENGTH, SAMPLE_RATE
from model.errors import CheckpointError, shown
from model.features import FeatureParameters
from model.kinds import check_kinds

LONGEST_NAME = 100
"""Characters of a model's name, which every message carries."""


@dataclass(frozen=True)
class CRNNParameters:
    """Every size of the network. The defaults are the paper's best configuration (section 3.5).

    Attributes
    ----------
    conv_filters, conv_kernel, conv_layers : int
        Filters, and their extent over time and over features, and how many such layers follow each other.
    fc_units, fc_layers : int
        Units of the linear layer that is applied to every frame, per branch.
    gru_units, gru_layers : int
        Units per direction of the bidirectional GRU, per branch.
    maxout_pieces : int
        Linear pieces of the maxout output (4: the default of the library that the paper used, Keras 1).
    dropout : float
        Share of activations that training drops after the convolution, the linear and the recurrent layers.
    branches : int
        2: one for valence and one for arousal; 1: one for both (the paper's CRNN_NB).
    """

    conv_filters: int = 8
    conv_kernel: int = 3
    conv_layers: int = 1
    fc_units: int = 8
    fc_layers: int = 1
    gru_units: int = 8
    gru_layers: int = 1
    maxout_pieces: int = 4
    dropout: float = 0.25
    branches: int = 2

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive or absurdly large.

        Raises
        ------
        ValueError
            If a size is out of its range.
        """
        check_kinds(self)
        limits = {
            "conv_filters": 512,
            "conv_kernel": 15,
            "conv_layers": 8,
            "fc_units": 4096,
            "fc_layers": 8,
            "gru_units": 2048,
            "gru_layers": 8,
            "maxout_pieces": 64,
            "branches": 2,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise ValueError(f"{name} must be a whole number from 1 to {limit}, not {value!r}")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd, not {self.conv_kernel}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class NetworkParameters:
    """Which inputs the network takes and how many frames it hears.

    Attributes
    ----------
    window : int
        Frames that the CRNN hears at once when it tracks, and that the summary takes log-mel statistics of.
    memory : int
        Frames that the summary remembers harmony and the ear's columns of, at least `window`; 0 for no more than the
        window. Log-mel energies of a minute would tell it the recording, which it would learn by heart.
    columns : tuple of str
        Groups of columns that are heard in the window: ``logmel_mean``, ``logmel_std``, ``harmony``; harmony comes
        last.
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
    crnn : CRNNParameters or None
        Sizes of the CRNN; None for none, so that the summary alone estimates.
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
    crnn: CRNNParameters | None = field(default_factory=CRNNParameters)

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
        if self.crnn is None and (self.summary_units is None or self.crnn_dropout or self.split_planes):
            raise ValueError("without a crnn there must be a summary, and neither crnn_dropout nor split_planes")
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


def parameters_from_json(metadata: Mapping[str, Any]) -> tuple[FeatureParameters, NetworkParameters]:
    """Read the objects ``features`` and ``network`` of a checkpoint's metadata.

    Parameters
    ----------
    metadata : mapping
        Of the checkpoint.

    Returns
    -------
    FeatureParameters, NetworkParameters

    Raises
    ------
    ArithmeticError, AttributeError, KeyError, TypeError, ValueError
        If they are missing, of other kinds or out of their ranges.
    """
    features = FeatureParameters(**metadata["features"])
    described = dict(metadata["network"])
    described["columns"] = tuple(described["columns"])
    if described["crnn"] is not None:
        described["crnn"] = CRNNParameters(**described["crnn"])
    return features, NetworkParameters(**described)


def check_ear_fits(features: FeatureParameters, network: NetworkParameters, outputs: int | None) -> None:
    """Refuse an ear that is for other frames, or says as many numbers of them as the network does not take.

    Parameters
    ----------
    features : FeatureParameters
        Of the frames.
    network : NetworkParameters
        Of the network.
    outputs : int or None
        Of the ear; None if there is none.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    if outputs is not None and (features.sample_rate, features.frame_length) != (SAMPLE_RATE, FRAME_LENGTH):
        raise ValueError(f"its ear needs frames of {FRAME_LENGTH} samples at {SAMPLE_RATE} Hz")
    if network.ear_columns != (outputs or 0):
        raise ValueError("the network takes another number of columns than its ear gives")


def validate_model_name(name: object) -> str:
    """Return the name if messages can carry it.

    Parameters
    ----------
    name : object
        At most `LONGEST_NAME` printable characters.

    Returns
    -------
    str

    Raises
    ------
    CheckpointError
        If it is something else.
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise CheckpointError(
            f'a model\'s name must be text of at most {LONGEST_NAME} printable characters, not "{shown(name)}"'
        )
    return name
