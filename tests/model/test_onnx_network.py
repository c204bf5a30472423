"""What is arranged anew for ONNX Runtime says what the network says, whatever its configuration is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from model.features import FeatureParameters
from model.network import EmotionNetwork
from model.network_parameters import CRNNParameters, NetworkParameters
from model.onnx_network import ArrangedNetwork
from model.summary import Standardisation

FEATURES = FeatureParameters(mel_bands=16)
SHALLOW, DEEP = ({"fc_layers": n, "gru_layers": n, "conv_layers": n} for n in (1, 2))
PATHS: list[dict[str, Any]] = [
    {},
    {"summary_units": 0, "memory": 10, "ear_columns": 5},
    {"summary_units": 3, "spread_units": 4, "split_planes": True, "memory": 8, "ear_columns": 3},
    {"summary_units": 0, "spread_units": 4},
    {"columns": ("logmel_mean",), "remove_level": False},
    {"columns": ("logmel_std", "logmel_mean"), "summary_units": 2, "ear_columns": 4, "memory": 9, "split_planes": True},
    {"columns": ("harmony",), "summary_units": 0, "memory": 12},
]


def network_of(parameters: NetworkParameters, features: FeatureParameters = FEATURES) -> EmotionNetwork:
    """Give a network in which no number is left as it begins."""
    torch.manual_seed(0)
    network = EmotionNetwork(features, parameters).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter) * (parameter != 0))
        for part in network.modules():
            if isinstance(part, Standardisation):
                part.mean.normal_()
                part.std.uniform_(0.5, 2)
            elif isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
        if network.summary is not None:
            network.summary.linear.weight.normal_(std=0.05)
        if network.spread is not None:
            network.spread.output.weight.normal_()
    return network


@pytest.mark.parametrize(("branches", "members", "layers"), list(product((1, 2), (1, 3), (SHALLOW, DEEP))))
@pytest.mark.parametrize("paths", PATHS)
def test_it_is_the_same_function(branches: int, members: int, layers: dict[str, int], paths: dict[str, Any]) -> None:
    sizes = CRNNParameters(conv_filters=3, fc_units=4, gru_units=5, maxout_pieces=3, branches=branches, **layers)
    parameters = NetworkParameters(window=6, members=members, crnn=sizes, **paths)
    network = network_of(parameters)
    with torch.no_grad():
        arranged = ArrangedNetwork(network)
        for frames in (1, 3, parameters.window, parameters.history):
            rows = 10 * torch.randn(3, frames, FEATURES.feature_count + parameters.ear_columns) - 30
            window = rows[:, -min(frames, 4) :]
            statistics = network.statistics(rows) if network.summary is not None else None
            newest, *stds, earlier = arranged(rows, window)
            torch.testing.assert_close(newest, network(rows), rtol=0, atol=1e-5)
            torch.testing.assert_close(earlier, network.members_of(window, statistics).mean(dim=2), rtol=0, atol=1e-5)
            assert len(stds) == (network.spread is not None)
            if network.spread is not None:
                torch.testing.assert_close(stds[0], network.spread(statistics), rtol=0, atol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("features", [FEATURES, replace(FEATURES, chroma="both")])
@pytest.mark.parametrize("paths", [paths for paths in PATHS if "summary_units" in paths])
def test_so_is_a_summary_without_a_crnn(members: int, features: FeatureParameters, paths: dict[str, Any]) -> None:
    parameters = NetworkParameters(window=6, members=members, crnn=None, **{**paths, "split_planes": False})
    network = network_of(parameters, features)
    with torch.no_grad():
        arranged = ArrangedNetwork(network)
        for frames in (1, 3, parameters.window, parameters.history):
            rows = 10 * torch.randn(3, frames, features.feature_count + parameters.ear_columns) - 30
            values, *stds = arranged(rows)
            torch.testing.assert_close(values, network(rows), rtol=0, atol=1e-5)
            assert len(stds) == (network.spread is not None)
            if network.spread is not None:
                torch.testing.assert_close(stds[0], network.spread(network.statistics(rows)), rtol=0, atol=1e-5)
