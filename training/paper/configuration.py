"""Every choice that a run of one of the paper's systems depends on: defaults, TOML files, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from model.crnn import CRNNParameters
from model.errors import shown
from model.toml_text import parse_toml
from training.paper.names import FEATURES, SYSTEMS
from training.tables import DataError


@dataclass(frozen=True)
class Configuration:
    """One system and how it is trained. The defaults are the paper's best CRNN (section 3.5).

    Attributes
    ----------
    system : str
        ``crnn``; ``crnn-nb``: one branch for both dimensions; ``dblstm-fusion``: Li et al. 2016, as the paper
        describes it; ``ensemble``: CRNNs for several sequence lengths, averaged.
    features : str
        ``logmel``: log-mel energies per frame; ``opensmile``: the challenge's 260 baseline features.
    sequence_length : int
        Frames that the network hears at once. The fusion and the ensemble have lengths of their own.
    conv_layers, conv_filters, conv_kernel, fc_layers, fc_units, gru_layers, gru_units : int
        Sizes of the CRNN, see `model.crnn.CRNNParameters`.
    lstm_layers, lstm_units : int
        Sizes of each of the fusion's networks; units of both directions together.
    dropout : float
        Share of activations that training drops.
    l1, l2 : float
        Elastic net on the convolution's weights and activity, see `training.paper.fitting.ElasticNet`.
    batch_size : int
        Sequences per step.
    learning_rate : float
        Of Adam.
    epochs : int
        At most so many.
    patience : int
        Training stops when so many epochs in a row were no better on the validation songs.
    pretraining_epochs : int
        For the first two layers of the fusion's networks.
    validation_share : float
        Share of the development songs that is held out for early stopping.

    Notes
    -----
    The paper's are the sizes, dropout, l1, l2 and batch_size. Ours are learning_rate, epochs, patience,
    pretraining_epochs and validation_share. We also depart from the paper in that outputs are bounded by tanh
    (`model.crnn.CRNN`), dropout takes the same activations from all frames of a sequence (`model.crnn.WindowDropout`),
    the elastic net takes means (`training.paper.fitting.ElasticNet`), and openSMILE's features are cut off ten standard
    deviations away (`training.paper.networks`); of the fusion, the paper says less than one needs to build it
    (`training.paper.systems.FUSION_LENGTHS`, `training.paper.fusion`).
    """

    system: str = "crnn"
    features: str = "logmel"
    sequence_length: int = 10
    conv_layers: int = 1
    conv_filters: int = 8
    conv_kernel: int = 3
    fc_layers: int = 1
    fc_units: int = 8
    gru_layers: int = 1
    gru_units: int = 8
    lstm_layers: int = 5
    lstm_units: int = 256
    dropout: float = 0.75
    l1: float = 0.1
    l2: float = 0.001
    batch_size: int = 32
    learning_rate: float = 3e-3
    epochs: int = 150
    patience: int = 25
    pretraining_epochs: int = 5
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises
        ------
        DataError
            Naming the first value that is wrong and what is allowed.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            kinds, described = _KINDS[str(field.type)]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise DataError(f"{field.name} must be a {described}, not {_written(value)}")
        for name, allowed in (("system", SYSTEMS), ("features", FEATURES)):
            if getattr(self, name) not in allowed:
                raise DataError(f"{name} must be one of {', '.join(allowed)}, not {_written(getattr(self, name))}")
        for name, (smallest, largest) in _RANGES.items():
            if not smallest <= getattr(self, name) <= largest:
                raise DataError(f"{name} must be from {smallest:g} to {largest:g}, not {_written(getattr(self, name))}")
        if self.lstm_units % 2:
            raise DataError(f"lstm_units must be even, half for each direction, not {self.lstm_units}")
        try:
            self.crnn_parameters()
        except ValueError as error:
            raise DataError(str(error)) from error

    def crnn_parameters(self) -> CRNNParameters:
        """Return the sizes of the CRNN."""
        return CRNNParameters(
            conv_filters=self.conv_filters,
            conv_kernel=self.conv_kernel,
            conv_layers=self.conv_layers,
            fc_units=self.fc_units,
            fc_layers=self.fc_layers,
            gru_units=self.gru_units,
            gru_layers=self.gru_layers,
            dropout=self.dropout,
            branches=1 if self.system == "crnn-nb" else 2,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as a JSON object."""
        return asdict(self)


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "string"),
    "int": ((int,), "whole number"),
    "float": ((int, float), "number"),
}
_RANGES = {
    "sequence_length": (2, 600),
    "lstm_layers": (2, 16),
    "lstm_units": (2, 4096),
    "dropout": (0, 0.95),
    "l1": (0, 100),
    "l2": (0, 100),
    "batch_size": (1, 4096),
    "learning_rate": (1e-6, 1),
    "epochs": (1, 100_000),
    "patience": (1, 100_000),
    "pretraining_epochs": (0, 100_000),
    "validation_share": (0.01, 0.9),
}
_MOST_BYTES = 1 << 16
"""Of a TOML file: a hundred times as many as all settings take."""
_LONGEST_REASON = 200
_DROPOUT = {"opensmile": 0.25, "logmel": 0.75}
"""The paper's, sections 3.5 and 4."""


def _written(value: object) -> str:
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def configure(choices: Mapping[str, Any]) -> Configuration:
    """Complete choices with the defaults that suit them.

    Parameters
    ----------
    choices : mapping
        Any of `Configuration`'s attributes.

    Returns
    -------
    Configuration

    Raises
    ------
    DataError
        If a name is unknown or a value is not allowed.
    """
    known = [field.name for field in fields(Configuration)]
    for name in choices:
        if name not in known:
            raise DataError(f'there is no setting "{shown(name)}"; there are {", ".join(known)}')
    configuration = replace(Configuration(), **choices)
    if "dropout" in choices:
        return configuration
    of = "opensmile" if configuration.system == "dblstm-fusion" else configuration.features
    return replace(configuration, dropout=_DROPOUT[of])


def read_toml(path: Path) -> dict[str, Any]:
    """Read choices from a TOML file: `Configuration`'s attributes as its top-level keys.

    Raises
    ------
    DataError
        If it cannot be read, is not TOML, or a value is not allowed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f'"{path}" has more than {_MOST_BYTES} bytes: no file of settings is so long')
        choices = parse_toml(content)
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except ValueError as error:
        raise DataError(f'"{path}" is not a TOML file: {shown(str(error), _LONGEST_REASON)}') from error
    try:
        configure(choices)
    except DataError as error:
        raise DataError(f'"{path}": {error}') from error
    return choices


def choose(path: Path | None, **given: Any) -> dict[str, Any]:
    """Return the choices of a TOML file, if there is one, and over them those given that are not None.

    Raises
    ------
    DataError
        See `read_toml`.
    """
    chosen = {} if path is None else read_toml(path)
    return chosen | {name: value for name, value in given.items() if value is not None}


def write_toml(path: Path, configuration: Configuration) -> None:
    """Write a configuration so that `read_toml` reads it.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    # strings of SYSTEMS and FEATURES and numbers: JSON and TOML write them alike
    lines = [f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v!r}" for k, v in configuration.to_json().items()]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f'cannot write "{path}": {error.strerror or error}') from error
