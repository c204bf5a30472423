"""The networks: the paper's CRNN and Li et al.'s deep bidirectional LSTM, each with its inputs' standardisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from model.crnn import CRNN
from training.paper.configuration import Configuration


class DeepBidirectionalLSTM(nn.Module):
    """A stack of bidirectional LSTMs and a linear output per frame (Li et al. 2016, as the paper's section 4 has it).

    Parameters
    ----------
    inputs : int
        Columns per frame.
    layers : int
    units : int
        Of both directions together: the count with which six such networks have the paper's 12 million parameters.
    dropout : float
        Between the layers, in training.
    """

    def __init__(self, inputs: int, layers: int, units: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            inputs, units // 2, num_layers=layers, batch_first=True, bidirectional=True, dropout=dropout
        )
        self.output = nn.Linear(units, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map shape (batch, time, inputs) to (batch, time, 2)."""
        hidden, _ = self.lstm(x)
        output: Tensor = self.output(hidden)
        return output

    def take_first_layers(self, other: DeepBidirectionalLSTM) -> None:
        """Copy the weights of the first layers from a network that has fewer."""
        _, unexpected = self.lstm.load_state_dict(other.lstm.state_dict(), strict=False)
        if unexpected:
            raise ValueError(f"the other network has layers that this one lacks: {', '.join(unexpected)}")


class _PaperCRNN(CRNN):
    """One CRNN without members."""

    def forward(self, x: Tensor) -> Tensor:
        """Map shape (batch, time, inputs) to (batch, time, 2)."""
        return super().forward(x).squeeze(2)


class StandardisedNetwork(nn.Module):
    """A network behind the standardisation of its inputs.

    Parameters
    ----------
    columns : int
        Inputs per frame.
    body : Module
        Shape (batch, time, columns) to (batch, time, 2).
    limit : float
        Standard deviations at which inputs are cut off.
    """

    def __init__(self, columns: int, body: nn.Module, limit: float = math.inf) -> None:
        super().__init__()
        self.body = body
        self._limit = limit
        self.register_buffer("input_mean", torch.zeros(columns))
        self.register_buffer("input_std", torch.ones(columns))
        self.input_mean: Tensor
        self.input_std: Tensor

    def set_standardisation(self, inputs: Tensor) -> None:
        """Take mean and standard deviation per column from training frames, shape (frames, columns)."""
        std, mean = torch.std_mean(inputs, dim=0, correction=0)
        self.input_mean.copy_(mean)
        self.input_std.copy_(torch.where(std > _SMALLEST_STD, std, torch.ones_like(std)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map shape (batch, time, columns) to valence and arousal, shape (batch, time, 2)."""
        standardised = (inputs - self.input_mean) / self.input_std
        output: Tensor = self.body(standardised.clamp(-self._limit, self._limit))
        return output


_SMALLEST_STD = 1e-6
_LIMIT = {"logmel": math.inf, "opensmile": 10.0}
"""The far ends of some of openSMILE's features lie hundreds of standard deviations away."""


def crnn(configuration: Configuration, columns: int) -> StandardisedNetwork:
    """Return an untrained CRNN, with one branch or with two."""
    body = _PaperCRNN(columns, configuration.crnn_parameters())
    return StandardisedNetwork(columns, body, _LIMIT[configuration.features])


def dblstm(configuration: Configuration, columns: int, layers: int | None = None) -> StandardisedNetwork:
    """Return an untrained deep bidirectional LSTM, of the configuration's number of layers or of another."""
    body = DeepBidirectionalLSTM(
        columns, layers or configuration.lstm_layers, configuration.lstm_units, configuration.dropout
    )
    return StandardisedNetwork(columns, body, _LIMIT[configuration.features])


def parameter_count(network: nn.Module) -> int:
    """Return how many trainable parameters a network has."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
