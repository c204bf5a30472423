from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from model.distilled_ear import DistilledEar, DistilledEarParameters

PARAMETER_LIMIT = 170_000
SMALL = DistilledEarParameters(columns=9, bands=16, filters=(4, 6), spectrum_filters=8, outputs=5)


def ear_of(parameters: DistilledEarParameters = SMALL, seed: int = 0) -> DistilledEar:
    torch.manual_seed(seed)
    return DistilledEar(parameters).eval()


def spectrograms(parameters: DistilledEarParameters, count: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(count, parameters.columns, parameters.bands, generator=generator)


@pytest.mark.parametrize("parameters", [DistilledEarParameters(), SMALL])
def test_gives_the_outputs_of_each_frame(parameters: DistilledEarParameters) -> None:
    with torch.inference_mode():
        outputs = ear_of(parameters)(spectrograms(parameters, 3))
    assert outputs.shape == (3, parameters.outputs)
    assert outputs.dtype == torch.float32
    assert torch.isfinite(outputs).all()


def test_default_is_small_enough_for_a_single_board_computer() -> None:
    assert (
        sum(parameter.numel() for parameter in DistilledEar(DistilledEarParameters()).parameters()) <= PARAMETER_LIMIT
    )


def test_hears_each_frame_by_itself() -> None:
    ear = ear_of(DistilledEarParameters())
    frames = spectrograms(DistilledEarParameters(), 4)
    with torch.inference_mode():
        together = ear(frames)
        alone = torch.cat([ear(frame[None]) for frame in frames])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_hears_every_column_and_every_band() -> None:
    ear = ear_of()
    frame = spectrograms(SMALL, 1).requires_grad_()
    torch.autograd.backward(ear(frame).abs().sum())
    assert frame.grad is not None
    assert (frame.grad.abs().amax(dim=(0, 2)) > 0).all()
    assert (frame.grad.abs().amax(dim=(0, 1)) > 0).all()


def test_standardisation_makes_the_scale_of_the_bands_irrelevant() -> None:
    ear = ear_of()
    frames = spectrograms(SMALL, 20)
    ear.set_standardisation(frames)
    with torch.inference_mode():
        before = ear(frames)
        ear.set_standardisation(5 * frames + 2)
        after = ear(5 * frames + 2)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_a_band_that_never_changes_is_no_trouble() -> None:
    ear = ear_of()
    frames = spectrograms(SMALL, 20)
    frames[..., 3] = 0.5
    ear.set_standardisation(frames)
    with torch.inference_mode():
        assert torch.isfinite(ear(frames)).all()


@pytest.mark.parametrize("shape", [(2, 9, 15), (2, 8, 16), (9, 16), (2, 1, 9, 16)])
def test_refuses_frames_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="9 columns and 16 bands"):
        ear_of()(torch.zeros(shape))


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
    ],
)
def test_refuses_impossible_sizes(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DistilledEarParameters(**changed)


def test_sizes_survive_json() -> None:
    read = json.loads(json.dumps(SMALL.to_json()))
    assert DistilledEarParameters(**{**read, "filters": tuple(read["filters"])}) == SMALL
