from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.crnn import CRNN, CRNNParameters
from model.features import FeatureParameters
from model.network import EmotionNetwork
from training.augmentation import augment, splice
from training.clips import DEVELOPMENT, Clip, DynamicLabels, SignLabels, StaticLabels
from training.losses import pair_loss, sign_loss
from training.recipe import Recipe, default_network
from training.sampling import WindowSampler
from training.tables import DataError
from training.tracking import track
from training.trainer import STEPS_BETWEEN_STATES, train

PARAMETERS = FeatureParameters()
RECIPE = replace(Recipe(), steps=12, windows_per_step={"pairs": 6, "signs": 6})


def clips_of(labels: Sequence[DynamicLabels | StaticLabels | SignLabels]) -> list[Clip]:
    return [Clip("set", str(i), str(i), Path(f"{i}.wav"), DEVELOPMENT, label) for i, label in enumerate(labels)]


def random_features(lengths: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    features = [random.normal(-40, 10, (n, PARAMETERS.feature_count)).astype(np.float32) for n in lengths]
    for rows in features:
        rows[:, PARAMETERS.columns["logmel_std"]] = random.uniform(0, 12, (len(rows), PARAMETERS.mel_bands))
    return features


def samplers() -> dict[str, WindowSampler]:
    pairs = clips_of([StaticLabels(0.5, -0.5), DynamicLabels(np.arange(10, 40) / 2, np.zeros((30, 2), np.float32))])
    signs = clips_of([SignLabels(1, -1), SignLabels(-1, 1)])
    features = random_features([40, 44])
    return {"pairs": WindowSampler(pairs, features, 0.5), "signs": WindowSampler(signs, features, 0.5)}


def test_training_twice_gives_the_same_weights_bit_for_bit() -> None:
    first, second = (train(samplers(), PARAMETERS, default_network(), RECIPE, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = train(samplers(), PARAMETERS, default_network(), RECIPE, seed=4).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_a_resumed_training_equals_one_that_was_not_interrupted(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=STEPS_BETWEEN_STATES + 20)
    state = tmp_path / "state"

    def interrupt(step: int, loss: float) -> None:
        if step == STEPS_BETWEEN_STATES + 10:
            raise KeyboardInterrupt

    whole = train(samplers(), PARAMETERS, default_network(), recipe, seed=3).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(samplers(), PARAMETERS, default_network(), recipe, 3, interrupt, state)
    steps: list[int] = []
    resumed = train(
        samplers(), PARAMETERS, default_network(), recipe, 3, lambda step, loss: steps.append(step), state, resume=True
    ).state_dict()
    assert steps == list(range(STEPS_BETWEEN_STATES + 1, recipe.steps + 1))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    with pytest.raises(DataError, match="other settings or clips"):
        train(samplers(), PARAMETERS, default_network(), recipe, 4, state=state, resume=True)


def test_members_stay_separate_while_they_learn() -> None:
    network = train(samplers(), PARAMETERS, default_network(crnn=True), RECIPE)
    assert not network.training
    assert network.crnn is not None
    columns = len(network.standardisation.mean)
    inputs = torch.randn(2, 20, columns)
    before = network.crnn(inputs)
    filters = network.network_parameters.crnn.conv_filters
    with torch.no_grad():
        network.crnn.conv[0].weight[filters:] += 1
    after = network.crnn(inputs)
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    assert not torch.allclose(before[:, :, 1:], after[:, :, 1:])


def test_one_member_equals_a_bidirectional_gru_of_its_own() -> None:
    torch.manual_seed(0)
    several = CRNN(10, CRNNParameters(gru_layers=2, conv_layers=2), members=3).eval()
    alone = CRNN(10, CRNNParameters(gru_layers=2, conv_layers=2)).eval()
    own = alone.state_dict()
    for key, value in several.state_dict().items():
        if ".gru." in key:
            rows, columns = own[key].shape if value.ndim == 2 else (own[key].shape[0], None)
            gates = value.reshape(3, 3, rows // 3, *value.shape[1:])[:, 1]
            picked = gates.reshape(rows, *value.shape[1:])
            if columns is not None:
                halves = 2 if "weight_ih_l1" in key else 1
                picked = picked.reshape(rows, halves, 3, columns // halves)[:, :, 1].reshape(rows, columns)
        elif ".fc." in key or ".maxout." in key:
            picked = value[1:2]
        elif value.ndim:
            picked = value[8:16]
        else:
            picked = value
        own[key] = picked.clone()
    alone.load_state_dict(own)
    inputs = torch.randn(2, 7, 10)
    torch.testing.assert_close(alone(inputs)[:, :, 0], several(inputs)[:, :, 1])


def test_all_paths_learn() -> None:
    untrained = EmotionNetwork(PARAMETERS, default_network())
    trained = train(samplers(), PARAMETERS, default_network(), RECIPE)
    assert trained.summary is not None
    assert trained.spread is not None
    assert untrained.summary is not None
    assert untrained.summary.linear.weight.abs().sum() == 0
    assert trained.summary.linear.weight.abs().sum() > 0
    assert trained.spread.output.weight.abs().sum() > 0
    assert torch.equal(trained.spread.scale, torch.ones(2))


def test_an_ear_is_learned_from() -> None:
    """Nothing but the ear's only column tells excited clips from calm ones."""
    random = np.random.default_rng(0)
    labels = [StaticLabels(0.6 * sign, 0.6 * sign) for sign in (-1, 1) for _ in range(4)]
    features = [
        np.concatenate([rows, random.normal(label.arousal, 0.1, (len(rows), 1))], axis=1, dtype=np.float32)
        for rows, label in zip(random_features([30] * 8), labels, strict=True)
    ]
    sampler = {"pairs": WindowSampler(clips_of(labels), features, 0.5)}
    recipe = replace(RECIPE, steps=150, learning_rate=1e-3, summary_rate=2e-2, averaging=0.9)
    network = train(sampler, PARAMETERS, default_network(ear_columns=1), recipe)
    values, _ = network.estimate(torch.from_numpy(np.stack(features)))
    assert (values[4:].amin(dim=0) > values[:4].amax(dim=0)).all()


def test_what_is_not_music_is_less_sure() -> None:
    stripes = (40 * (np.arange(PARAMETERS.feature_count) % 2)).astype(np.float32)
    odd = [rows + stripes for rows in random_features([40] * 3, 7)]
    labels = [StaticLabels(0.0, 0.0) for _ in odd]
    clips = clips_of(labels)
    music = {"pairs": samplers()["pairs"]}
    recipe = replace(RECIPE, steps=150, learning_rate=1e-3, summary_rate=3e-3, averaging=0.9)
    network = train(music, PARAMETERS, default_network(), recipe, not_music=WindowSampler(clips, odd, 0.5))
    heard = torch.from_numpy(np.stack(random_features([40, 40], 3)))
    stds = [network.estimate(rows)[1] for rows in (heard, torch.from_numpy(np.stack(odd)))]
    assert stds[0] is not None
    assert stds[1] is not None
    assert stds[1].mean() > 1.3 * stds[0].mean()


def test_a_recipe_may_leave_out_what_is_not_music() -> None:
    recipe = replace(RECIPE, steps=2, not_music_windows=0)
    plain = train(samplers(), PARAMETERS, default_network(), recipe).state_dict()
    given = train(samplers(), PARAMETERS, default_network(), recipe, not_music=samplers()["pairs"]).state_dict()
    assert all(torch.equal(plain[key], given[key]) for key in plain)


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 60))
def test_drawn_lengths_are_those_of_streams_that_were_heard_so_long(seed: int, shortest: int, more: int) -> None:
    lengths = [12, 30, 45]
    labels = [StaticLabels(0, 0)] * 3
    sampler = WindowSampler(clips_of(labels), [np.zeros((n, 1), np.float32) for n in lengths], 0.5)
    generator = torch.Generator().manual_seed(seed)
    length = sampler.draw_length(shortest, shortest + more, generator)
    assert shortest <= length <= min(shortest + more, 45)
    features, _ = sampler.draw(3, length, generator)
    assert features.shape == (3, length, 1)


def test_all_lengths_are_drawn() -> None:
    sampler = WindowSampler(clips_of([StaticLabels(0, 0)]), [np.zeros((12, 1), np.float32)], 0.5)
    generator = torch.Generator().manual_seed(0)
    assert {sampler.draw_length(5, 10, generator) for _ in range(200)} == set(range(5, 11))
    with pytest.raises(ValueError, match="no clip has 13 frames"):
        sampler.draw_length(13, 20, generator)


def test_nothing_to_train_on_and_clips_that_are_too_short_are_errors() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        train(samplers(), PARAMETERS, default_network(), replace(RECIPE, windows_per_step={"others": 4}))
    short = {"pairs": WindowSampler(clips_of([StaticLabels(0, 0)]), random_features([8]), 0.5)}
    with pytest.raises(DataError, match="too short"):
        train(short, PARAMETERS, default_network(), RECIPE)


def test_windows_are_consecutive_frames_of_one_clip_with_their_labels() -> None:
    lengths = [25, 40, 30]
    features = [np.full((n, PARAMETERS.feature_count), float(i), np.float32) for i, n in enumerate(lengths)]
    for rows in features:
        rows[:, 0] = np.arange(len(rows))
    clips = clips_of([StaticLabels(i / 10, -i / 10) for i in range(3)])
    windows, labels = WindowSampler(clips, features, 0.5).draw(200, 20, torch.Generator().manual_seed(0))
    assert torch.equal(windows[:, 1:, 0] - windows[:, :-1, 0], torch.ones(200, 19))
    clip = windows[:, :, 1]
    assert torch.equal(clip, clip[:, :1].expand(-1, 20))
    torch.testing.assert_close(labels, torch.stack([clip / 10, -clip / 10], dim=-1))
    assert set(clip[:, 0].tolist()) == {0.0, 1.0, 2.0}


def test_frames_after_the_last_label_are_not_drawn() -> None:
    labels = DynamicLabels(np.arange(1, 26) / 2, np.zeros((25, 2), np.float32))
    sampler = WindowSampler(clips_of([labels]), random_features([60]), 0.5)
    assert not sampler.draw(100, 20, torch.Generator().manual_seed(0))[1].isnan().any()


def test_losses_by_hand() -> None:
    outputs = torch.tensor([0.5, 0.0, -0.5]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    labels = torch.tensor([0.5, float("nan"), 0.5]).reshape(1, 3, 1).expand(1, 3, 2)
    assert pair_loss(outputs, labels, 0.0).item() == pytest.approx(0.5)
    signs = torch.ones(1, 3, 2)
    # an output of tanh(1/4) is right with the odds exp(2)
    scores = torch.tensor([0.25, 0.0, -0.25]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    expected = sum(-math.log(1 / (1 + math.exp(-odds))) for odds in (2.0, 0.0, -2.0)) / 3
    assert sign_loss(torch.tanh(scores), signs, 8.0).item() == pytest.approx(expected)
    saturated = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1).expand(2, 1, 1, 2)
    assert sign_loss(saturated, torch.ones(2, 1, 2), 6.0).isfinite()


def test_augmentation_without_strength_changes_nothing_much() -> None:
    features = torch.from_numpy(np.stack(random_features([20, 20])))
    same = augment(features, PARAMETERS, 0.0, 0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(same, features)
    other = augment(features, PARAMETERS, 3.0, 1.0, torch.Generator().manual_seed(0))
    assert other.shape == features.shape
    assert (other[..., PARAMETERS.columns["logmel_std"]] <= features[..., PARAMETERS.columns["logmel_std"]]).all()


def test_noise_raises_bands_to_its_floor_and_evens_them_out() -> None:
    features = torch.full((1, 20, PARAMETERS.feature_count), -40.0)
    features[..., 5] = 0.0
    features[..., PARAMETERS.columns["logmel_std"]] = 6.0
    noisy = augment(features, PARAMETERS, 0.0, 1.0, torch.Generator().manual_seed(1))
    mean, std = (noisy[0, 0, PARAMETERS.columns[name]] for name in ("logmel_mean", "logmel_std"))
    assert mean.min() > -40
    assert mean[5] == pytest.approx(0.0, abs=0.5)
    assert std[5] == pytest.approx(6.0, rel=0.15)
    assert (std < 6.0).all()


def test_tracking_is_the_streaming_computation() -> None:
    network = EmotionNetwork(PARAMETERS, replace(default_network(), memory=24)).eval()
    assert network.network_parameters.history == 24
    features = random_features([27, 9])

    def estimate(windows: np.ndarray, lag: int) -> np.ndarray:
        with torch.inference_mode():
            return network.estimate(torch.from_numpy(windows), lag)[0].numpy()

    for rows, tracked in zip(features, track(estimate, features, 24), strict=True):
        one_by_one = [estimate(rows[max(0, i - 23) : i + 1][np.newaxis], 0)[0] for i in range(len(rows))]
        np.testing.assert_allclose(tracked, one_by_one, atol=1e-5)

    late = track(estimate, features[:1], 24, lag=3)[0]
    np.testing.assert_allclose(late[4], estimate(features[0][np.newaxis, :8], 3)[0], atol=1e-5)
    np.testing.assert_allclose(late[26], estimate(features[0][np.newaxis, 3:27], 0)[0], atol=1e-5)


LOGCHROMA = st.integers(0, 2**31).map(
    lambda seed: torch.randn(2, 20, 12, generator=torch.Generator().manual_seed(seed))
)


@settings(max_examples=25, deadline=None)
@given(LOGCHROMA, st.integers(1, 11), st.floats(-40, 10))
def test_harmony_ignores_key_and_gain(noise: torch.Tensor, semitones: int, gain: float) -> None:
    network = EmotionNetwork(PARAMETERS, default_network())
    logchroma = 10 * noise - 30
    harmony = network.harmony(logchroma)
    torch.testing.assert_close(network.harmony(logchroma.roll(semitones, dims=-1)), harmony, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(network.harmony(logchroma + gain), harmony, atol=2e-4, rtol=1e-3)


@settings(max_examples=10, deadline=None)
@given(LOGCHROMA, LOGCHROMA)
def test_two_chromas_have_the_harmony_of_each(one: torch.Tensor, other: torch.Tensor) -> None:
    harmony = EmotionNetwork(PARAMETERS, default_network()).harmony
    both = harmony(torch.cat([10 * one, 10 * other], dim=-1))
    torch.testing.assert_close(both, torch.cat([harmony(10 * one), harmony(10 * other)], dim=-1))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.floats(-30, 10))
def test_estimates_ignore_gain(seed: int, gain: float) -> None:
    network = EmotionNetwork(PARAMETERS, default_network()).eval()
    features = torch.from_numpy(random_features([20], seed)[0])[None]
    louder = features.clone()
    for name in ("logmel_mean", "logchroma"):
        louder[..., PARAMETERS.columns[name]] += gain
    for one, other in zip(network.estimate(louder), network.estimate(features), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@given(st.integers(0, 1000), st.integers(1, 40))
def test_spliced_streams_heard_other_music_before_their_window(seed: int, frames: int) -> None:
    window = 20
    histories = torch.arange(6.0)[:, None, None].expand(6, frames, 3)
    spliced = splice(histories, window, 0.5, torch.Generator().manual_seed(seed))
    assert torch.equal(spliced[:, -window:], histories[:, -window:])
    before = (torch.arange(6) - 1) % 6
    for music, other, stream in zip(range(6), before, spliced[..., 0], strict=True):
        own = stream == music
        assert (own | (stream == other)).all()
        assert (own.int().diff() >= 0).all()
    if frames > window:
        assert not torch.equal(splice(histories, window, 1.0, torch.Generator().manual_seed(seed)), histories)
    assert splice(histories, window, 0.0, torch.Generator()) is histories
