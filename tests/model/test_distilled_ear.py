from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from model.distilled_ear import DistilledEar, DistilledEarParameters

PARAMETER_LIMIT = 230_000
SMALL = DistilledEarParameters(
    columns=9, bands=16, filters=(4, 6), spectrum_filters=8, outputs=5, span=2, hidden_units=7
)
FIRST = replace(SMALL, span=1, hidden_units=0)
"""As the first ears were: each frame by itself, and nothing hidden."""


def ear_of(parameters: DistilledEarParameters = SMALL, seed: int = 0) -> DistilledEar:
    torch.manual_seed(seed)
    return DistilledEar(parameters).eval()


def spectrograms(parameters: DistilledEarParameters, *counts: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(*counts, parameters.columns, parameters.bands, generator=generator)


@pytest.mark.parametrize("parameters", [DistilledEarParameters(), SMALL, FIRST])
def test_gives_the_outputs_of_each_frame_that_has_enough_before_it(parameters: DistilledEarParameters) -> None:
    with torch.inference_mode():
        outputs = ear_of(parameters)(spectrograms(parameters, 3, 10))
    assert outputs.shape == (3, 10 - parameters.span + 1, parameters.outputs)
    assert outputs.dtype == torch.float32
    assert torch.isfinite(outputs).all()


def test_default_is_small_enough_for_a_single_board_computer() -> None:
    assert (
        sum(parameter.numel() for parameter in DistilledEar(DistilledEarParameters()).parameters()) <= PARAMETER_LIMIT
    )


@pytest.mark.parametrize("parameters", [DistilledEarParameters(), SMALL, FIRST])
def test_what_is_said_of_a_frame_is_of_its_span_and_of_nothing_else(parameters: DistilledEarParameters) -> None:
    ear, span = ear_of(parameters), parameters.span
    frames = spectrograms(parameters, 1, span + 5)
    with torch.inference_mode():
        together = ear(frames)[0]
        alone = torch.cat([ear(frames[:, i : i + span])[0] for i in range(6)])
        pooled = ear.pooled(frames[0])
        said = ear.said_of(torch.stack([pooled[i : i + span] for i in range(6)]))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, said, rtol=1e-4, atol=1e-5)


def test_hears_every_column_and_every_band_of_every_frame() -> None:
    ear = ear_of()
    frames = spectrograms(SMALL, 1, SMALL.span).requires_grad_()
    torch.autograd.backward(ear(frames).abs().sum())
    assert frames.grad is not None
    assert (frames.grad.abs().amax(dim=(0, 3)) > 0).all()
    assert (frames.grad.abs().amax(dim=(0, 2)) > 0).all()


def test_standardisation_makes_the_scale_of_the_bands_irrelevant() -> None:
    ear = ear_of()
    frames = spectrograms(SMALL, 20)
    ear.set_standardisation(frames)
    with torch.inference_mode():
        before = ear.pooled(frames)
        ear.set_standardisation(5 * frames + 2)
        after = ear.pooled(5 * frames + 2)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_a_band_that_never_changes_is_no_trouble() -> None:
    ear = ear_of()
    frames = spectrograms(SMALL, 20)
    frames[..., 3] = 0.5
    ear.set_standardisation(frames)
    with torch.inference_mode():
        assert torch.isfinite(ear(frames[None])).all()


@pytest.mark.parametrize("shape", [(2, 9, 15), (2, 8, 16), (9, 16), (2, 1, 9, 16)])
def test_refuses_frames_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="9 columns and 16 bands"):
        ear_of().pooled(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"outputs": 0}, "outputs"),
        ({"columns": 31.0}, "columns"),
        ({"spectrum_filters": 10_000}, "spectrum_filters"),
        ({"filters": ()}, "filters"),
        ({"filters": (16, 0)}, "filters"),
        ({"filters": (16,) * 7}, "filters"),
        ({"bands": 100}, "bands"),
        ({"span": 0}, "span"),
        ({"span": 65}, "span"),
        ({"hidden_units": -1}, "hidden_units"),
    ],
)
def test_refuses_impossible_sizes(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DistilledEarParameters(**changed)


def test_sizes_survive_json() -> None:
    read = json.loads(json.dumps(SMALL.to_json()))
    assert DistilledEarParameters.from_json(read) == SMALL


def test_sizes_of_the_first_ears_are_read() -> None:
    read = FIRST.to_json()
    del read["span"], read["hidden_units"]
    assert DistilledEarParameters.from_json(read) == FIRST
