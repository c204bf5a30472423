from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.distilled_ear import DistilledEar, DistilledEarParameters
from training.distillation import DistillationSettings, Projection, augment_logmel, distil

PARAMETERS = DistilledEarParameters(
    columns=8, bands=16, filters=(4, 8), spectrum_filters=12, outputs=3, span=2, hidden_units=16
)
SETTINGS = DistillationSettings(steps=8, windows=8, frames=5, noise_share=0.0, equaliser=0.0, gain=0.0, averaging=0.9)
EMBEDDING = 10


def music(clips: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Spectra that are more or less bright, loud and restless, and embeddings that say only that."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, EMBEDDING))
    spectrograms, targets = [], []
    for _ in range(clips):
        hidden = random.uniform(-1, 1, (int(random.integers(4, 30)), 3))
        bright, loud, restless = (hidden[:, k, None, None] for k in range(3))
        slope = bright * np.linspace(-1, 1, PARAMETERS.bands)
        beat = restless * np.cos(np.pi * np.arange(PARAMETERS.columns))[:, None]
        noise = 0.1 * random.normal(size=(len(hidden), PARAMETERS.columns, PARAMETERS.bands))
        spectrograms.append(np.maximum(1.5 + slope + 0.5 * loud + beat + noise, 0).astype(np.float16))
        targets.append((5 + hidden @ mixing).astype(np.float32))
    return spectrograms, targets


def pooled(
    span: int, spectrograms: list[np.ndarray], targets: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Let each target be the mean of those of its last frames, as many as a span."""
    means = []
    for clip in targets:
        padded = np.concatenate([clip[:1].repeat(span - 1, axis=0), clip])
        means.append(np.lib.stride_tricks.sliding_window_view(padded, span, axis=0).mean(axis=-1).astype(np.float32))
    return spectrograms, means


def weights_of(ear: DistilledEar) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in ear.state_dict().items()}


def hear(ear: DistilledEar, spectrograms: list[np.ndarray]) -> np.ndarray:
    """Give what an ear says of each frame that has enough before it."""
    with torch.inference_mode():
        return np.concatenate([ear(torch.from_numpy(clip).float()[None])[0].numpy() for clip in spectrograms])


@pytest.mark.parametrize(("span", "hidden_units"), [(1, 0), (3, 0), (1, 16), (3, 16)])
def test_student_learns_what_the_teacher_says_of_music_it_never_heard(span: int, hidden_units: int) -> None:
    losses = []
    parameters = replace(PARAMETERS, span=span, hidden_units=hidden_units)
    student, projection = distil(
        *pooled(span, *music(40)),
        parameters,
        replace(SETTINGS, steps=350, windows=16),
        stepped=lambda step, loss: losses.append(loss),
    )
    spectrograms, targets = pooled(span, *music(10, seed=1))
    wanted = projection.apply(np.concatenate([clip[span - 1 :] for clip in targets]))
    heard = hear(student, spectrograms)
    assert np.mean(losses[-20:]) < 0.2 * np.mean(losses[:5])
    assert np.mean((heard - wanted) ** 2) < 0.2 * np.mean(wanted**2)
    assert not student.training


def test_same_seed_same_weights_and_another_seed_others() -> None:
    once, again, other = (distil(*music(5), PARAMETERS, SETTINGS, seed=seed)[0] for seed in (3, 3, 4))
    for name, weights in weights_of(once).items():
        np.testing.assert_array_equal(weights, weights_of(again)[name])
    assert any((weights != weights_of(other)[name]).any() for name, weights in weights_of(once).items())


def test_reports_every_step_and_leaves_the_number_of_threads() -> None:
    steps = []
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        distil(*music(3), PARAMETERS, SETTINGS, stepped=lambda step, loss: steps.append((step, loss)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert [step for step, _ in steps] == list(range(1, SETTINGS.steps + 1))
    assert np.isfinite([loss for _, loss in steps]).all()


def test_teaching_on_keeps_the_projection_and_the_first_student() -> None:
    first, projection = distil(*music(5), PARAMETERS, SETTINGS)
    before = {name: weights.copy() for name, weights in weights_of(first).items()}
    taught_on, kept = distil(*music(5, seed=7), PARAMETERS, SETTINGS, initial=(first, projection))
    assert kept is projection
    for name, weights in weights_of(first).items():
        np.testing.assert_array_equal(weights, before[name])
    assert any((weights != before[name]).any() for name, weights in weights_of(taught_on).items())


def test_clips_that_do_not_belong_together_are_refused() -> None:
    spectrograms, targets = music(3)
    for wrong in ((spectrograms, targets[:2]), (spectrograms, targets[::-1]), ([], [])):
        with pytest.raises(ValueError, match="same clips"):
            distil(*wrong, PARAMETERS, SETTINGS)


def test_windows_shorter_than_the_span_are_refused() -> None:
    with pytest.raises(ValueError, match="windows of 5 frames are too short for an ear that pools 6"):
        distil(*music(3), replace(PARAMETERS, span=6), SETTINGS)


def test_more_components_than_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="11 components"):
        distil(*music(3), replace(PARAMETERS, outputs=11), SETTINGS)


@pytest.mark.parametrize(
    "changed", [{"steps": 0}, {"frames": 0}, {"window_weight": 1.5}, {"learning_rate": -1.0}, {"gain": float("nan")}]
)
def test_impossible_settings_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        DistillationSettings(**changed)


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_projection_is_standardised_and_uncorrelated(seed: int, outputs: int) -> None:
    random = np.random.default_rng(seed)
    embeddings = (random.normal(size=(200, 6)) @ random.normal(size=(6, 6)) * 3 + 7).astype(np.float32)
    projection = Projection.fit(embeddings, outputs)
    said = projection.apply(embeddings)
    np.testing.assert_allclose(said.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(said.T @ said / len(said), np.eye(outputs), atol=1e-2)
    assert (np.diff(projection.scale) <= 1e-5).all()
    assert said.dtype == np.float32


def test_all_components_keep_everything() -> None:
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(50, 4)).astype(np.float32)
    p = Projection.fit(embeddings, 4)
    back = (p.apply(embeddings) * p.scale) @ p.components.T * p.std + p.mean
    np.testing.assert_allclose(back, embeddings, atol=1e-4)


def test_a_number_of_the_embedding_that_never_changes_is_no_trouble() -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    embeddings[:, 2] = 3
    projection = Projection.fit(embeddings, 4)
    assert all(np.isfinite(getattr(projection, field.name)).all() for field in dataclasses.fields(projection))
    assert np.isfinite(projection.apply(embeddings)).all()


def windows(count: int) -> torch.Tensor:
    return 3 * torch.rand(count, 2, PARAMETERS.columns, PARAMETERS.bands, generator=torch.Generator().manual_seed(5))


def test_without_strength_augmentation_changes_nothing() -> None:
    logmel = windows(4)
    torch.testing.assert_close(augment_logmel(logmel, SETTINGS, torch.Generator().manual_seed(0)), logmel)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_equaliser_and_level_stay_in_their_range_and_are_one_per_window(seed: int) -> None:
    strength = replace(SETTINGS, equaliser=6.0, gain=3.0)
    logmel = windows(4)
    changed = augment_logmel(logmel, strength, torch.Generator().manual_seed(seed))
    decibels = 10 * torch.log10((10**changed - 1) / (10**logmel - 1))
    # where there is next to no energy, rounding decides
    loud = logmel > 0.1
    assert decibels[loud].abs().max() <= 9.1
    spread = torch.where(loud, decibels, torch.nan).nan_to_num(0).flatten(1, 2)
    for window, heard in zip(spread, loud.flatten(1, 2), strict=True):
        for band in range(PARAMETERS.bands):
            values = window[heard[:, band], band]
            assert values.numel() == 0 or values.max() - values.min() < 0.1


def test_noise_floor_fills_silence_and_only_adds() -> None:
    strength = replace(SETTINGS, noise_share=1.0)
    generator = torch.Generator().manual_seed(0)
    assert (augment_logmel(torch.zeros_like(windows(4)), strength, generator) > 0).all()
    assert (augment_logmel(windows(4), strength, generator) >= windows(4) - 1e-5).all()
