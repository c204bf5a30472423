from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.summary import LARGEST_STD, SMALLEST_STD, SpreadPath, Standardisation, SummaryPath, statistics_of


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_statistics_are_means_and_standard_deviations() -> None:
    inputs = noise(5, 40, 3, scale=3) + torch.tensor([1.0, 20.0, -3.0])
    both = statistics_of(inputs)
    torch.testing.assert_close(both[:, :3], inputs.mean(dim=1))
    torch.testing.assert_close(both[:, 3:], inputs.std(dim=1, correction=0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(statistics_of(inputs, 2), both[:, :5])
    assert statistics_of(inputs, 0).shape == (5, 3)


def test_statistics_of_what_does_not_move_have_a_gradient() -> None:
    inputs = torch.zeros(2, 5, 3, requires_grad=True)
    torch.autograd.backward(statistics_of(inputs).sum())
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    assert statistics_of(torch.ones(2, 1, 3)).isfinite().all()


def test_standardised_rows_have_no_mean_and_unit_deviation() -> None:
    rows = noise(500, 3, scale=4) + 7
    rows[:, 2] = 5
    standardisation = Standardisation(3)
    assert torch.equal(standardisation(rows), rows)
    standardisation.fit(rows, 1e-2)
    seen = standardisation(rows)
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[:, :2].std(dim=0), torch.ones(2))
    assert seen.isfinite().all()


def test_a_summary_without_hidden_units_starts_at_nothing() -> None:
    assert torch.equal(SummaryPath(3, 10, 0).eval()(noise(4, 10)), torch.zeros(4, 1, 3, 2))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-1, 1), st.floats(-1, 1))
def test_a_summary_without_hidden_units_is_linear(seed: int, a: float, b: float) -> None:
    path = SummaryPath(2, 6, 0).eval()
    nn.init.normal_(path.linear.weight)
    x, y = (noise(3, 6, seed=seed + i).clamp(-2, 2) for i in range(2))
    torch.testing.assert_close(path(a * x + b * y), a * path(x) + b * path(y), atol=1e-4, rtol=1e-4)
    expected = torch.einsum("bi,mio->bmo", x, path.linear.weight)
    torch.testing.assert_close(path(x)[:, 0], expected, atol=1e-4, rtol=1e-4)


def test_hidden_units_bend_it() -> None:
    path = SummaryPath(2, 6, 8).eval()
    x = noise(3, 6)
    assert path(x).abs().max() > 0
    assert not torch.allclose(path(x) + path(-x), 2 * path(torch.zeros(3, 6)), atol=1e-3)


@pytest.mark.parametrize("units", [0, 4])
def test_what_is_unlike_any_music_counts_no_more_than_what_is_rare(units: int) -> None:
    path = SummaryPath(2, 6, units).eval()
    nn.init.normal_(path.linear.weight)
    x = torch.tensor([[9.0, -9.0, 5.0, 4.0, 1.0, 0.0]])
    torch.testing.assert_close(path(100 * x), path(torch.tensor([[4.0, -4, 4, 4, 4, 0]])))
    spread = SpreadPath(6, 4).eval()
    nn.init.normal_(spread.output.weight)
    torch.testing.assert_close(spread(100 * x), spread(torch.tensor([[4.0, -4, 4, 4, 4, 0]])))


def test_members_have_weights_of_their_own_and_drop_by_themselves() -> None:
    path = SummaryPath(2, 6, 4)
    nn.init.ones_(path.linear.weight)
    torch.manual_seed(0)
    scores = path.train()(torch.ones(1, 6))
    assert not torch.equal(scores[:, :, 0], scores[:, :, 1])


def test_a_spread_starts_with_one_that_is_usual() -> None:
    spread = SpreadPath(6, 4).eval()(noise(5, 6))
    assert spread.shape == (5, 2)
    torch.testing.assert_close(spread, torch.full((5, 2), 0.2019), atol=1e-3, rtol=0)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0, 100), st.floats(-100, 100), st.floats(0, 50))
def test_a_spread_is_positive_and_within_its_limits(seed: int, weight: float, bias: float, scale: float) -> None:
    path = SpreadPath(6, 4).eval()
    with torch.no_grad():
        path.output.weight.copy_(noise(2, 4, seed=seed, scale=weight))
        path.output.bias.fill_(bias)
        path.scale.fill_(scale)
        spread = path(noise(20, 6, seed=seed + 1, scale=30))
    assert ((spread >= SMALLEST_STD) & (spread <= LARGEST_STD)).all()


def test_a_scale_stretches_each_of_the_two() -> None:
    path = SpreadPath(6, 4).eval()
    x = noise(5, 6)
    before = path(x)
    path.scale.copy_(torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(path(x), before * torch.tensor([2.0, 0.5]))


def test_an_exponent_brings_spreads_closer_together() -> None:
    path = SpreadPath(6, 4).eval()
    torch.nn.init.normal_(path.output.weight)
    x = noise(5, 6)
    before = path(x)
    path.exponent.copy_(torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(path(x), before ** torch.tensor([1.0, 0.5]))
