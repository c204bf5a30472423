"""A CRNN on log-mel energies as an ordinary checkpoint, which `moodring stream --model` takes."""

from __future__ import annotations

from typing import Any

from model.checkpoint import Checkpoint
from model.features import Frontend
from model.network import EmotionNetwork, NetworkParameters
from training.paper.configuration import Configuration
from training.paper.systems import TrainedSystem

COLUMNS = "logmel_mean"
"""The frontend's columns that the paper calls log mel-band energies: their mean over the frame."""


def is_streamable(configuration: Configuration) -> bool:
    """Tell whether a system is one network on features that the live path computes."""
    return configuration.system in ("crnn", "crnn-nb") and configuration.features == "logmel"


def as_checkpoint(
    system: TrainedSystem, frontend: Frontend, name: str, training: dict[str, Any], licence: str
) -> Checkpoint:
    """Return a checkpoint with the weights of a system for which `is_streamable` holds.

    Its estimate of a whole sequence is the system's own; live, it reads out the mean over the window.
    """
    trained = system.components[0].network
    parameters = NetworkParameters(
        window=system.configuration.sequence_length,
        columns=(COLUMNS,),
        remove_level=False,
        crnn=system.configuration.crnn_parameters(),
    )
    network = EmotionNetwork(frontend.parameters, parameters)
    assert network.crnn is not None
    network.crnn.load_state_dict(trained.body.state_dict())
    network.standardisation.mean.copy_(trained.input_mean)
    network.standardisation.std.copy_(trained.input_std)
    network.eval()
    return Checkpoint(name, frontend, network, training=training, licence=licence)
