"""Whether tensors that came out of a file are what is built from its parameters, and whether that can be afforded.

Everything here is asked of networks on the device ``meta``, which have shapes but no memory, before one is built.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.errors import shown
from model.features import FloatArray, check_filterbank
from model.network import EmotionNetwork

MOST_PRODUCTS = 1 << 30
"""Multiplications of an estimate: at so many, one takes as long as the frame that it is for, on one slow core. The
bundled networks take a hundredth."""
MOST_ACTIVATIONS = 1 << 20
"""Outputs of the widest layer over a window: 64 windows at once then take 256 MB for it."""
MOST_REMEMBERED = 1 << 19
"""Numbers of all the feature rows that the network looks back over: 64 streams at once then take 128 MB for them."""


def check_tensors(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not those of a network: by name, shape and type; or that are not finite.

    Parameters
    ----------
    expected : mapping
        State of a network on the device ``meta``.
    given : mapping
        From a file.

    Raises
    ------
    ValueError
        Naming a tensor.
    """
    for name in sorted(expected.keys() | given.keys()):
        if name not in expected or name not in given or expected[name].shape != given[name].shape:
            raise ValueError(f'tensor "{shown(name)}" is missing, unknown or of another shape')
        if expected[name].dtype != given[name].dtype:
            raise ValueError(f'tensor "{shown(name)}" must be of {expected[name].dtype}, not {given[name].dtype}')
        if not bool(torch.isfinite(given[name]).all()):
            raise ValueError(f'tensor "{shown(name)}" holds NaN or infinity')


def checked_filterbank(tensors: Mapping[str, Tensor], name: str) -> FloatArray:
    """Return a tensor of 32-bit floats that energies can be multiplied by.

    Raises
    ------
    ValueError
        If it is missing or something else, or `model.features.check_filterbank` refuses it.
    """
    if name not in tensors:
        raise ValueError(f'tensor "{name}" is missing')
    return check_filterbank(name, checked_floats(name, tensors[name]))


def checked_floats(name: str, tensor: Tensor) -> FloatArray:
    """Return a vector or matrix of finite 32-bit floats; a `ValueError` if it is something else."""
    if tensor.dim() > 2:  # what has more than 64 dimensions, torch does not even look through
        raise ValueError(f'tensor "{shown(name)}" must have one or two dimensions, not {tensor.dim()}')
    check_tensors({name: torch.empty(tensor.shape, dtype=torch.float32, device="meta")}, {name: tensor})
    floats: FloatArray = tensor.numpy()
    return floats


def check_cost(network: EmotionNetwork) -> None:
    """Refuse a network whose estimates would take more time or memory than a stream has for them.

    Parameters
    ----------
    network : EmotionNetwork
        On the device ``meta``.

    Raises
    ------
    ValueError
        Saying which of the three bounds it exceeds.
    """
    parameters, crnn = network.network_parameters, network.network_parameters.crnn
    products = sum(weight.numel() for weight in network.parameters())
    widest = 0
    if crnn is not None and network.crnn is not None:
        widest = parameters.members * max(crnn.conv_filters * network.crnn.width, crnn.fc_units, 2 * crnn.gru_units)
        of_convolutions = sum(weight.numel() for weight in network.crnn.conv.parameters())
        products += (network.crnn.width - 1) * of_convolutions
    columns = network.feature_parameters.feature_count + parameters.ear_columns
    for count, most, what in (
        (parameters.window * products, MOST_PRODUCTS, "multiplications"),
        (parameters.window * widest, MOST_ACTIVATIONS, "outputs of a layer"),
        (parameters.history * columns, MOST_REMEMBERED, "remembered numbers"),
    ):
        if count > most:
            raise ValueError(f"an estimate would take {count} {what}; at most {most} are allowed")
