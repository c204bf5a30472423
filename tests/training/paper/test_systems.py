from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the fusion needs scikit-learn (pip install moodring[train])")

from tests.training.paper.synthetic import learnable_songs, one_line, small
from training.paper.fitting import Epoch
from training.paper.names import SEQUENCE_LENGTHS, SYSTEMS
from training.paper.songs import Song, hold_out
from training.paper.systems import FUSION_LENGTHS, TrainedSystem, train_system
from training.tables import DataError

SONGS = learnable_songs(12)
DEVELOPMENT, EVALUATION = SONGS[:9], SONGS[9:]


def rmse(estimates: list[np.ndarray], songs: list[Song]) -> np.ndarray:
    errors = np.concatenate(estimates) - np.concatenate([song.labels for song in songs])
    return np.sqrt(np.mean(errors**2, axis=0))


def same(one: TrainedSystem, other: TrainedSystem) -> bool:
    pairs = zip(one.estimate(EVALUATION), other.estimate(EVALUATION), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs) and one.epochs == other.epochs


@pytest.fixture(scope="module", params=SYSTEMS)
def trained(request: pytest.FixtureRequest) -> TrainedSystem:
    return train_system(small(request.param), DEVELOPMENT, seed=1)


def test_every_system_estimates_every_frame(trained: TrainedSystem) -> None:
    estimates = trained.estimate(EVALUATION)
    assert [values.shape for values in estimates] == [song.labels.shape for song in EVALUATION]
    assert all(values.dtype == np.float32 and np.abs(values).max() <= 1 for values in estimates)
    lengths = {"ensemble": SEQUENCE_LENGTHS, "dblstm-fusion": FUSION_LENGTHS}.get(trained.configuration.system, (10,))
    assert tuple(component.sequence_length for component in trained.components) == lengths
    assert trained.parameter_count > 0


def test_labels_are_not_looked_at_when_estimating(trained: TrainedSystem) -> None:
    unknown = [Song(song.name, song.inputs, np.zeros_like(song.labels)) for song in EVALUATION]
    for a, b in zip(trained.estimate(unknown), trained.estimate(EVALUATION), strict=True):
        np.testing.assert_array_equal(a, b)


def test_validation_songs_are_those_held_out(trained: TrainedSystem) -> None:
    _, held_out = hold_out(DEVELOPMENT, trained.configuration.validation_share)
    assert trained.validation_songs == [song.name for song in held_out]
    assert [values.shape for values in trained.validation] == [song.labels.shape for song in held_out]
    assert max(np.abs(values).max() for values in trained.validation) <= 1


def test_an_ensemble_is_the_mean_of_its_networks() -> None:
    system = train_system(small("ensemble", epochs=1), DEVELOPMENT, seed=0)
    outputs = system.outputs(EVALUATION)
    assert outputs[0].shape == (len(EVALUATION[0].labels), len(SEQUENCE_LENGTHS), 2)
    np.testing.assert_allclose(system.estimate(EVALUATION)[0], outputs[0].mean(axis=1), atol=1e-6)
    assert list(system.epochs) == [f"crnn-{length}" for length in SEQUENCE_LENGTHS]


@pytest.mark.parametrize("system", ["crnn", "crnn-nb"])
def test_a_crnn_learns_what_can_be_learnt(system: str) -> None:
    trained = train_system(small(system, epochs=40, learning_rate=1e-2, batch_size=8), DEVELOPMENT, seed=0)
    mean = np.concatenate([song.labels for song in DEVELOPMENT]).mean(axis=0)
    mean_predictor = rmse([np.broadcast_to(mean, song.labels.shape) for song in EVALUATION], EVALUATION)
    assert (rmse(trained.estimate(EVALUATION), EVALUATION) < 0.5 * mean_predictor).all()


def test_a_fusion_learns_what_can_be_learnt() -> None:
    choices = {"epochs": 8, "learning_rate": 4e-2, "batch_size": 8, "lstm_layers": 2, "pretraining_epochs": 0}
    songs = learnable_songs(20, frames=60, seed=5)
    trained = train_system(small("dblstm-fusion", **choices), songs[:14], seed=0)
    mean = np.concatenate([song.labels for song in songs[:14]]).mean(axis=0)
    mean_predictor = rmse([np.broadcast_to(mean, song.labels.shape) for song in songs[14:]], songs[14:])
    assert (rmse(trained.estimate(songs[14:]), songs[14:]) < 0.7 * mean_predictor).all()


@pytest.mark.parametrize("system", ["crnn", "dblstm-fusion"])
def test_the_seed_alone_decides(system: str) -> None:
    configuration = small(system, epochs=1, lstm_layers=2, pretraining_epochs=0)
    once, again, other = (train_system(configuration, DEVELOPMENT, seed) for seed in (4, 4, 5))
    assert same(once, again)
    assert not same(once, other)


def test_each_of_the_fusions_six_networks_passes_over_other_songs() -> None:
    # a network's standardisation tells the songs that it was trained on
    own_column = [
        Song(song.name, np.hstack([song.inputs[:, :2], np.full((len(song.inputs), 9), i) == np.arange(9)]), song.labels)
        for i, song in enumerate(DEVELOPMENT)
    ]
    own_column = [Song(song.name, song.inputs.astype(np.float32), song.labels) for song in own_column]
    system = train_system(small("dblstm-fusion", epochs=1, pretraining_epochs=0), own_column, seed=0)
    passed_over = [(c.network.input_mean[2:] == 0).numpy() for c in system.components]
    never_heard = np.array([song.name in system.validation_songs for song in DEVELOPMENT])
    assert len(passed_over) == len(FUSION_LENGTHS)
    # the fusion is fitted to songs that no network has heard; every other stops exactly one network
    np.testing.assert_array_equal(np.sum(passed_over, axis=0), np.where(never_heard, 6, 1))
    assert all((network & ~never_heard).any() for network in passed_over)


def test_pretraining_is_told_as_a_part_of_its_own() -> None:
    told: dict[str, list[int]] = defaultdict(list)
    configuration = small("dblstm-fusion", epochs=1, pretraining_epochs=2)
    train_system(configuration, DEVELOPMENT, 0, told=lambda part, epoch: told[part].append(epoch.number))
    assert len(told) == 12
    assert told["dblstm-1-of-6-pretraining"] == [1, 2]
    assert told["dblstm-6-of-6"] == [1]


@pytest.mark.parametrize(
    ("system", "stop_at"),
    [("crnn", ("crnn", 2)), ("ensemble", ("crnn-30", 1)), ("dblstm-fusion", ("dblstm-3-of-6", 1))],
)
def test_what_was_interrupted_goes_on_the_same_way(tmp_path: Path, system: str, stop_at: tuple[str, int]) -> None:
    configuration = small(system, epochs=3 if system == "crnn" else 1)

    def leave(part: str, epoch: Epoch) -> None:
        if (part, epoch.number) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_system(configuration, DEVELOPMENT, 2, state=tmp_path, told=leave)
    resumed = train_system(configuration, DEVELOPMENT, 2, state=tmp_path, resume=True)
    assert same(resumed, train_system(configuration, DEVELOPMENT, 2))


def test_an_interrupted_crnn_may_be_kept_and_another_system_may_not() -> None:
    def leave(part: str, epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    kept = train_system(small("crnn", epochs=9), DEVELOPMENT, 0, told=leave, keep_interrupted=True)
    assert same(kept, train_system(small("crnn", epochs=2), DEVELOPMENT, 0))
    with pytest.raises(KeyboardInterrupt):
        train_system(small("ensemble", epochs=9), DEVELOPMENT, 0, told=leave, keep_interrupted=True)


@pytest.mark.parametrize("choices", [{"dropout": 0.5}, {"l1": 0.2}, {"gru_units": 5}, {"validation_share": 0.5}])
def test_the_state_of_another_configuration_is_refused(tmp_path: Path, choices: dict[str, float]) -> None:
    train_system(small(epochs=1), DEVELOPMENT, 0, state=tmp_path)
    with pytest.raises(DataError) as caught:
        train_system(small(epochs=1, **choices), DEVELOPMENT, 0, state=tmp_path, resume=True)
    assert "other settings or songs" in one_line(caught.value)


@pytest.mark.parametrize(("system", "needed"), [("crnn", 2), ("crnn-nb", 2), ("ensemble", 2), ("dblstm-fusion", 8)])
def test_too_few_songs_are_one_line(system: str, needed: int) -> None:
    with pytest.raises(DataError) as caught:
        train_system(small(system), SONGS[: needed - 1], 0)
    message = one_line(caught.value)
    assert system in message
    assert f"at least {needed} development songs" in message
    assert f"there are {needed - 1}" in message
    assert train_system(small(system, epochs=1, pretraining_epochs=0), SONGS[:needed], 0).estimate(EVALUATION)


def test_a_share_that_leaves_the_fusion_too_few_songs_is_one_line() -> None:
    with pytest.raises(DataError) as caught:
        train_system(small("dblstm-fusion", validation_share=0.5), DEVELOPMENT, 0)
    assert "a validation_share of 0.5 leaves 4 of 9" in one_line(caught.value)
