from __future__ import annotations

import numpy as np
import pytest
import torch

from training.paper.configuration import configure
from training.paper.fusion import Fusion
from training.paper.names import FEATURES
from training.paper.networks import StandardisedNetwork, crnn, dblstm, parameter_count
from training.paper.systems import FUSION_LENGTHS, Component, TrainedSystem

BASELINE = 260
MEL_BANDS = 64


@pytest.mark.parametrize(
    ("system", "features", "columns", "count", "papers"),
    [
        ("crnn", "opensmile", BASELINE, 35_256, 30_000),
        ("crnn", "logmel", MEL_BANDS, 10_168, 10_000),
        ("crnn-nb", "opensmile", BASELINE, 17_744, 17_000),
    ],
)
def test_a_crnn_is_about_as_large_as_the_papers(
    system: str, features: str, columns: int, count: int, papers: int
) -> None:
    ours = parameter_count(crnn(configure({"system": system, "features": features}), columns))
    assert ours == count
    assert ours == pytest.approx(papers, rel=0.18)


def test_the_fusions_six_networks_have_twelve_million_parameters_together() -> None:
    c = configure({"system": "dblstm-fusion", "features": "opensmile"})
    components = [Component(dblstm(c, BASELINE), length) for length in FUSION_LENGTHS]
    random = np.random.default_rng(0)
    outputs, labels = random.normal(size=(40, 6, 2)), random.normal(size=(40, 2))
    fusion = Fusion.fit([outputs.astype(np.float32)], [labels.astype(np.float32)], 0)
    system = TrainedSystem(c, components, fusion)
    # a hidden layer of 14 nodes for each of valence and arousal
    of_fusion = 2 * (6 * 14 + 14 + 14 + 1)
    assert system.parameter_count == 6 * parameter_count(components[0].network) + of_fusion == 11_885_806
    assert round(system.parameter_count / 1e6) == 12


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (2, 61)])
def test_every_frame_gets_valence_and_arousal(features: str, shape: tuple[int, int]) -> None:
    inputs = torch.randn(*shape, 7)
    choices = {"features": features, "lstm_units": 8, "lstm_layers": 3}
    for system in ("crnn", "crnn-nb"):
        outputs = crnn(configure({**choices, "system": system}), 7).eval()(inputs)
        assert outputs.shape == (*shape, 2)
        assert bool((outputs.abs() <= 1).all())
    assert dblstm(configure(choices), 7).eval()(inputs).shape == (*shape, 2)


def test_branches_share_the_convolution_alone() -> None:
    network = crnn(configure({"system": "crnn"}), 12).eval()
    inputs = torch.randn(2, 10, 12)
    before = network(inputs).detach()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".valence." in name:
                parameter.add_(0.1)
    after = network(inputs).detach()
    assert torch.equal(before[..., 1], after[..., 1])
    assert not torch.allclose(before[..., 0], after[..., 0])


def test_inputs_are_standardised_by_the_training_frames() -> None:
    heard = []

    class Listener(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heard.append(x)
            return x[..., :2]

    frames = torch.randn(500, 3) * torch.tensor([1e-3, 40.0, 0.0]) + torch.tensor([5.0, -300.0, 2.0])
    network = StandardisedNetwork(3, Listener(), limit=10.0)
    network.set_standardisation(frames)
    network(frames[None])
    standardised = heard[0][0].numpy()
    np.testing.assert_allclose(standardised[:, :2].mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(standardised[:, :2].std(axis=0), 1, rtol=1e-2)
    # a column that never changed says nothing, rather than infinity, when it does
    assert np.abs(standardised[:, 2]).max() < 1e-5
    network(torch.tensor([[[5.0, 1e6, 3.0]]]))
    np.testing.assert_allclose(heard[1][0, 0].numpy(), [0, 10, 1], atol=0.3)


def test_far_ends_are_cut_off_for_opensmile_only() -> None:
    far = torch.full((1, 10, 4), 50.0)
    further = torch.full((1, 10, 4), 5000.0)
    torch.manual_seed(0)
    opensmile = crnn(configure({"features": "opensmile"}), 4).eval()
    logmel = crnn(configure({"features": "logmel"}), 4).eval()
    assert torch.equal(opensmile(far), opensmile(further))
    assert not torch.equal(logmel(far), logmel(further))


def test_pretrained_layers_are_taken_over() -> None:
    c = configure({"system": "dblstm-fusion", "lstm_layers": 3, "lstm_units": 8})
    first, whole = dblstm(c, 5, layers=2), dblstm(c, 5)
    whole.body.take_first_layers(first.body)  # type: ignore[operator]
    taken = whole.body.lstm.state_dict()  # type: ignore[union-attr]
    for name, value in first.body.lstm.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(taken[name], value)
    assert len(taken) == len(first.body.lstm.state_dict()) * 3 // 2  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="layers that this one lacks"):
        first.body.take_first_layers(whole.body)  # type: ignore[operator]
