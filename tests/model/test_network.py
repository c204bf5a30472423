from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from model.features import FeatureParameters
from model.network import EmotionNetwork, NetworkParameters

FEATURES = FeatureParameters(mel_bands=8)
PLAIN = {"window": 10, "columns": ("logmel_mean", "logmel_std")}
WHOLE = {**PLAIN, "memory": 30, "summary_units": 3, "spread_units": 3, "members": 2, "ear_columns": 4}


def network_of(**parameters: Any) -> EmotionNetwork:
    torch.manual_seed(0)
    network = EmotionNetwork(FEATURES, NetworkParameters(**parameters)).eval()
    for path in (network.summary, network.spread):
        if path is not None:
            for parameter in path.parameters():
                nn.init.normal_(parameter, std=0.1)
    return network


def rows(count: int, frames: int, ear: int = 0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 10 * torch.randn(count, frames, FEATURES.feature_count + ear, generator=generator) - 30


@pytest.mark.parametrize(
    ("frames", "lag"), [(frames, lag) for frames in (1, 2, 9, 10, 30) for lag in (0, 1, 8, 29) if lag < frames]
)
def test_values_and_spreads_are_within_their_ranges(frames: int, lag: int) -> None:
    values, stds = network_of(**WHOLE).estimate(rows(3, frames, 4), lag)
    assert values.shape == (3, 2)
    assert (values.abs() <= 1).all()
    assert stds is not None
    assert stds.shape == (3, 2)
    assert (stds > 0).all()


def test_without_paths_of_their_own_there_are_no_spreads() -> None:
    assert network_of(**PLAIN).estimate(rows(1, 10))[1] is None


def test_the_memory_is_heard_and_nothing_before_it() -> None:
    network = network_of(**WHOLE)
    network.set_standardisation([rows(8, 30, 4, seed) for seed in range(4)])
    features = rows(1, 40, 4, 9)
    whole, stds = network.estimate(features)
    kept, stds_of_kept = network.estimate(features[:, 10:])
    torch.testing.assert_close(whole, kept)
    torch.testing.assert_close(stds, stds_of_kept)
    less, _ = network.estimate(features[:, 20:])
    assert not torch.allclose(whole, less, atol=1e-4)
    window_only = network_of(**{**WHOLE, "memory": 0})
    torch.testing.assert_close(window_only.estimate(features)[0], window_only.estimate(features[:, 30:])[0])


def test_the_ear_is_heard_by_the_summary_alone() -> None:
    network = network_of(**WHOLE)
    network.set_standardisation([rows(8, 30, 4, seed) for seed in range(4)])
    features = rows(1, 30, 4)
    other = features.clone()
    other[..., FEATURES.feature_count :] += 20
    assert not torch.allclose(network.estimate(features)[0], network.estimate(other)[0], atol=1e-4)
    statistics = network.statistics(features)
    window, other_window = features[:, -10:], other[:, -10:]
    torch.testing.assert_close(network.members_of(window, statistics), network.members_of(other_window, statistics))


@pytest.mark.parametrize("memory", [0, 30])
def test_how_an_ear_column_moves_is_told_of_the_memory_alone(memory: int) -> None:
    network = network_of(**{**WHOLE, "memory": memory})
    features = rows(2, 30, 4)
    # 8 bands' means and standard deviations, each with mean and deviation; of the ear's 4 columns the deviation is
    # kept for the memory, which keeps nothing but the ear here
    assert network.statistics(features).shape == (2, 2 * 16 + 4 + (2 * 4 if memory else 0))
    moving = features.clone()
    moving[:, ::2, -1] += 5
    moving[:, 1::2, -1] -= 5
    changed = (network.statistics(moving) - network.statistics(features)).abs().amax(dim=0) > 1e-3
    assert int(changed.sum()) == (1 if memory else 0)


def test_log_mel_is_not_remembered_beyond_the_window() -> None:
    network = network_of(**WHOLE)
    network.set_standardisation([rows(8, 30, 4, seed) for seed in range(4)])
    features = rows(1, 30, 4)
    other = features.clone()
    other[:, :20, : FEATURES.columns["logmel_std"].stop] += rows(1, 20)[..., : FEATURES.columns["logmel_std"].stop]
    torch.testing.assert_close(network.estimate(features)[0], network.estimate(other)[0])


def test_harmony_is_remembered() -> None:
    network = network_of(window=10, memory=30, summary_units=3)
    network.set_standardisation([rows(8, 30, seed=seed) for seed in range(4)])
    features = rows(1, 30)
    other = features.clone()
    other[:, :20, FEATURES.columns["logchroma"]] = rows(1, 20, seed=1)[..., FEATURES.columns["logchroma"]]
    assert not torch.allclose(network.estimate(features)[0], network.estimate(other)[0], atol=1e-5)


def test_the_crnn_is_left_out_of_some_windows_in_training_only() -> None:
    network = network_of(**WHOLE, crnn_dropout=0.5).train()
    for path in (network.crnn, network.summary):
        assert path is not None
        for module in path.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    features = rows(64, 10, 4)
    statistics = network.statistics(features)
    assert network.summary is not None
    alone = torch.tanh(network.summary(statistics)).expand(-1, 10, -1, -1)
    left_out = torch.isclose(network.members_of(features, statistics), alone).all(dim=(1, 2, 3))
    assert 16 < int(left_out.sum()) < 48
    whole = network_of(**WHOLE)
    whole.load_state_dict(network.state_dict())
    torch.testing.assert_close(network.eval().estimate(features)[0], whole.estimate(features)[0])


SUMMARY = {**WHOLE, "crnn": None}


def test_without_a_crnn_a_lag_leaves_out_what_came_long_after() -> None:
    network = network_of(**SUMMARY)
    network.set_standardisation([rows(8, 30, 4, seed) for seed in range(4)])
    features = rows(2, 30, 4)
    newest = network.estimate(features)
    # of a window of 10 frames, the newest third may come after what is described
    for lag, unheard in ((0, 0), (1, 0), (3, 0), (4, 1), (10, 7), (29, 26)):
        values, stds = network.estimate(features, lag)
        expected, expected_stds = network.estimate(features[:, : 30 - unheard])
        torch.testing.assert_close(values, expected)
        assert stds is not None
        assert expected_stds is not None
        torch.testing.assert_close(stds, expected_stds)
        assert torch.equal(values, newest[0]) == (unheard == 0)
    assert network(features).shape == (2, 1, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crnn": None}, "without a crnn there must be a summary"),
        ({"crnn": None, "summary_units": 3, "split_planes": True}, "neither crnn_dropout nor split_planes"),
        ({"columns": ("harmony", "logmel_mean")}, "harmony comes last"),
        ({"columns": ("harmony",), "split_planes": True}, "not alone"),
        ({**PLAIN, "memory": 30, "summary_units": 3}, "memory needs harmony or ear_columns"),
        ({"crnn_dropout": 0.5}, "crnn_dropout must be"),
        ({"crnn_dropout": 1.0, "summary_units": 3}, "crnn_dropout must be"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NetworkParameters(**wrong)


def test_a_summary_that_is_nothing_changes_nothing() -> None:
    torch.manual_seed(0)
    alone = EmotionNetwork(FEATURES, NetworkParameters(**PLAIN)).eval()
    torch.manual_seed(0)
    both = EmotionNetwork(FEATURES, NetworkParameters(**PLAIN, summary_units=0)).eval()
    features = rows(3, 10)
    torch.testing.assert_close(alone.estimate(features)[0], both.estimate(features)[0])


@pytest.mark.parametrize("lag", [5, 6, 9, 14, 29])
def test_a_lag_of_more_than_half_the_window_is_that_of_a_window_that_ends_earlier(lag: int) -> None:
    """The frame in the middle of a window is described as well as it can be; later frames tell only the summary."""
    network = network_of(**PLAIN)
    features = rows(2, 40)
    earlier = features[:, : 40 - (lag - 5)]
    torch.testing.assert_close(network.estimate(features, lag)[0], network.estimate(earlier, 5)[0])
    with_summary = network_of(window=10, memory=30, summary_units=3)
    with_summary.set_standardisation([rows(8, 30, seed=seed) for seed in range(4)])
    assert lag == 5 or not torch.allclose(
        with_summary.estimate(features, lag)[0], with_summary.estimate(earlier, 5)[0], atol=1e-5
    )


def test_a_lag_takes_the_outputs_around_the_frame() -> None:
    network = network_of(**PLAIN)
    features = rows(1, 10)
    outputs = network(features)
    torch.testing.assert_close(network.estimate(features)[0], outputs.mean(dim=1))
    torch.testing.assert_close(network.estimate(features, 1)[0], outputs[:, 7:].mean(dim=1))
    torch.testing.assert_close(network.estimate(features, 4)[0], outputs[:, 1:].mean(dim=1))


def test_gain_changes_nothing() -> None:
    network = network_of(**WHOLE)
    features = rows(2, 30, 4)
    louder = features.clone()
    louder[..., FEATURES.columns["logmel_mean"]] += 17
    for one, other in zip(network.estimate(features), network.estimate(louder), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window": 1}, "window"),
        ({"window": 20, "memory": 10, "summary_units": 0}, "memory must be from the window's 20"),
        ({"memory": 5000, "summary_units": 0}, "memory"),
        ({"memory": 120}, "need a summary"),
        ({"ear_columns": 5}, "need a summary"),
        ({"spread_units": 5}, "need a summary"),
        ({"ear_columns": -1, "summary_units": 0}, "ear_columns"),
        ({"ear_columns": 2.0, "summary_units": 0}, "ear_columns"),
        ({"summary_units": 5000}, "summary_units"),
        ({"members": 0}, "members"),
        ({"columns": ()}, "columns"),
        ({"columns": ("harmony", "logmel_mean"), "split_planes": True}, "harmony comes last"),
    ],
)
def test_impossible_networks_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkParameters(**parameters)


def test_what_a_network_looks_back_over() -> None:
    assert NetworkParameters(window=20).history == 20
    assert NetworkParameters(window=20, memory=120, summary_units=0).history == 120
