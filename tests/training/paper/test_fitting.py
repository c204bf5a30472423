from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from tests.conftest import REPOSITORY
from tests.training.paper.fit_for_tests import EPOCHS, main
from tests.training.paper.synthetic import COLUMNS, learnable_songs, one_line, small
from training.paper.fitting import ElasticNet, Epoch, Schedule, estimate, fit, rmse_loss
from training.paper.networks import crnn
from training.paper.songs import Song, cut
from training.tables import DataError

SCHEDULE = Schedule(sequence_length=10, batch_size=8, learning_rate=1e-2, epochs=3, patience=3)
SONGS = learnable_songs(6)


def new_network(seed: int = 0, **choices: object) -> nn.Module:
    torch.manual_seed(seed)
    return crnn(small(**choices), COLUMNS)


def weights(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def fitted(schedule: Schedule = SCHEDULE, seed: int = 0, **rest: object) -> tuple[dict[str, bytes], list[Epoch]]:
    network = new_network()
    epochs = fit(network, SONGS[:4], SONGS[4:], schedule, seed, **rest)  # type: ignore[arg-type]
    assert not network.training
    return weights(network), epochs


def rmse_of(network: nn.Module, songs: list[Song], length: int = 10) -> list[float]:
    errors = np.concatenate([e - s.labels for e, s in zip(estimate(network, songs, length), songs, strict=True)])
    return list(np.sqrt(np.mean(errors.astype(np.float64) ** 2, axis=0)))


def test_the_seed_alone_decides() -> None:
    once, again, other = fitted(seed=1), fitted(seed=1), fitted(seed=2)
    assert once == again
    assert once[0] != other[0]
    assert [epoch.number for epoch in once[1]] == [1, 2, 3]


def test_it_learns_what_can_be_learnt() -> None:
    schedule = Schedule(10, 8, 1e-2, 25, 25)
    network = new_network()
    epochs = fit(network, SONGS[:4], SONGS[4:], schedule, 0)
    labels = np.concatenate([song.labels for song in SONGS[4:]])
    assert min(epoch.score for epoch in epochs) < 0.5 * labels.std(axis=0).mean()
    assert epochs[-1].loss < 0.5 * epochs[0].loss


def test_the_best_epochs_weights_are_kept() -> None:
    network = new_network()
    kept: list[dict[str, bytes]] = []
    # so fast that it does not get better all the time
    schedule = Schedule(10, 8, 0.2, 8, 8)
    epochs = fit(network, SONGS[:4], SONGS[4:], schedule, 0, told=lambda _: kept.append(weights(network)))
    best = min(epochs, key=lambda epoch: epoch.score)
    assert best.number < len(epochs)
    assert weights(network) == kept[best.number - 1]
    assert rmse_of(network, SONGS[4:]) == pytest.approx([best.valence, best.arousal], rel=1e-6)


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_when_patience_is_at_an_end(patience: int) -> None:
    schedule = Schedule(10, 8, 0.2, 60, patience)
    _, epochs = fitted(schedule)
    scores = [epoch.score for epoch in epochs]
    assert len(epochs) < 60
    assert len(epochs) - 1 - int(np.argmin(scores)) == patience
    for end in range(1, len(scores)):
        assert end - 1 - int(np.argmin(scores[:end])) < patience


def test_an_interruption_leaves_the_best_epochs_weights() -> None:
    network = new_network()
    kept: list[dict[str, bytes]] = []
    seen: list[Epoch] = []

    def interrupt(epoch: Epoch) -> None:
        kept.append(weights(network))
        seen.append(epoch)
        if epoch.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(network, SONGS[:4], SONGS[4:], Schedule(10, 8, 0.2, 9, 9), 0, told=interrupt)
    assert weights(network) == kept[int(np.argmin([epoch.score for epoch in seen]))]
    assert not network.training


def test_training_that_diverges_is_one_line() -> None:
    enormous = [Song(song.name, song.inputs, np.full_like(song.labels, 1e30)) for song in SONGS]
    with pytest.raises(DataError) as caught:
        fit(new_network(), enormous[:4], enormous[4:], SCHEDULE, 0)
    assert "learning_rate" in one_line(caught.value)


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.training.paper.fit_for_tests", *map(str, arguments)]


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path / "whole.state", tmp_path / "whole", resume=False)
    uninterrupted = capsys.readouterr().out.splitlines()
    arguments = tmp_path / "state", tmp_path / "weights"
    with subprocess.Popen(program(*arguments), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        for number in range(1, 4):
            assert killed.stdout.readline() == f"{number}\n"
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
    assert not arguments[1].exists()
    done = subprocess.run(program(*arguments, "resume"), cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == uninterrupted
    assert uninterrupted[:-1] == [str(number) for number in range(1, EPOCHS + 1)]
    assert arguments[1].read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_run_that_was_left_after_any_epoch_goes_on_the_same_way(tmp_path: Path, stop_after: int) -> None:
    def leave(epoch: Epoch) -> None:
        if epoch.number == stop_after:
            raise KeyboardInterrupt

    state = tmp_path / "a.state"
    with pytest.raises(KeyboardInterrupt):
        fitted(state=state, told=leave)
    told: list[Epoch] = []
    resumed, epochs = fitted(state=state, resume=True, told=told.append)
    assert (resumed, epochs) == fitted()
    assert told == epochs


def test_without_resume_a_run_begins_again(tmp_path: Path) -> None:
    state = tmp_path / "a.state"
    fitted(seed=1, state=state)
    assert fitted(seed=2, state=state) == fitted(seed=2)
    assert fitted(seed=2, state=state, resume=True) == fitted(seed=2)
    assert fitted(state=tmp_path / "none", resume=True) == fitted()


def louder(songs: list[Song]) -> list[Song]:
    return [Song(song.name, song.inputs * 2, song.labels) for song in songs]


@pytest.mark.parametrize(
    "other",
    [
        lambda s: fit(new_network(), SONGS[:4], SONGS[4:], SCHEDULE, 9, state=s, resume=True),
        lambda s: fit(new_network(), SONGS[:3], SONGS[4:], SCHEDULE, 0, state=s, resume=True),
        lambda s: fit(new_network(), SONGS[:4], SONGS[5:], SCHEDULE, 0, state=s, resume=True),
        lambda s: fit(new_network(), louder(SONGS[:4]), SONGS[4:], SCHEDULE, 0, state=s, resume=True),
        lambda s: fit(new_network(), SONGS[:4], SONGS[4:], Schedule(20, 8, 1e-2, 3, 3), 0, state=s, resume=True),
        lambda s: fit(new_network(gru_units=9), SONGS[:4], SONGS[4:], SCHEDULE, 0, state=s, resume=True),
        lambda s: fit(new_network(), SONGS[:4], SONGS[4:], SCHEDULE, 0, state=s, resume=True, settings={"l1": 1}),
    ],
    ids=["seed", "training songs", "validation songs", "features", "schedule", "network", "settings"],
)
def test_another_runs_state_is_refused(tmp_path: Path, other: Callable[[Path], object]) -> None:
    state = tmp_path / "a.state"
    fitted(state=state)
    with pytest.raises(DataError) as caught:
        other(state)
    assert f'"{state}" is from a run with other settings or songs; remove it' in one_line(caught.value)


@pytest.fixture(scope="module")
def kept_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "a.state"
    fitted(state=path)
    return path


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=15, deadline=None)
def test_a_truncated_state_is_refused(kept_state: Path, share: float) -> None:
    content = kept_state.read_bytes()
    path = kept_state.with_name("truncated.state")
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        fitted(state=path, resume=True)
    assert f'"{path}" is no training state; remove it to start again' in one_line(caught.value)


@given(st.integers(0, 60000), st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_a_damaged_state_is_refused(kept_state: Path, place: int, bit: int) -> None:
    content = bytearray(kept_state.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path = kept_state.with_name("damaged.state")
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        fitted(state=path, resume=True)
    assert f'"{path}" is no training state; remove it to start again' in one_line(caught.value)


def test_states_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    with pytest.raises(DataError) as caught:
        fitted(state=other, resume=True)
    assert "is no training state" in one_line(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as caught:
        fitted(state=tmp_path / "file" / "a.state")
    assert "cannot write the training state" in one_line(caught.value)


@given(st.lists(st.integers(1, 45), min_size=1, max_size=6), st.integers(2, 20))
@settings(max_examples=25, deadline=None)
def test_every_frame_is_estimated_once(lengths: list[int], length: int) -> None:
    random = np.random.default_rng(sum(lengths))
    songs = [
        Song(str(i), random.normal(size=(n, COLUMNS)).astype(np.float32), np.zeros((n, 2), dtype=np.float32))
        for i, n in enumerate(lengths)
    ]
    network = new_network().eval()
    expected = [np.full((n, 2), np.nan, dtype=np.float32) for n in lengths]
    for place in cut(songs, length):
        with torch.inference_mode():
            heard = torch.from_numpy(songs[place.song].inputs[place.start : place.start + place.length])
            values = network(heard[None])[0].numpy()
        for frame, value in enumerate(values, place.start):
            # frames that two sequences share belong to the first
            if np.isnan(expected[place.song][frame]).any():
                expected[place.song][frame] = value
    for ours, straightforward in zip(estimate(network, songs, length), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, straightforward, atol=1e-6)


def test_songs_may_be_shorter_than_a_sequence() -> None:
    songs = [Song(s.name, s.inputs[:n], s.labels[:n]) for s, n in zip(SONGS, (3, 3, 40, 1, 2, 40), strict=True)]
    epochs = fit(new_network(), songs[:4], songs[4:], Schedule(60, 2, 1e-3, 2, 2), 0)
    assert len(epochs) == 2
    assert np.isfinite([epoch.score for epoch in epochs]).all()


def test_the_loss_is_the_mean_of_both_rmse() -> None:
    random = np.random.default_rng(0)
    outputs, labels = random.normal(size=(2, 3, 7, 2))
    expected = np.mean([np.sqrt(np.mean((outputs[..., i] - labels[..., i]) ** 2)) for i in range(2)])
    assert rmse_loss(torch.tensor(outputs), torch.tensor(labels)).item() == pytest.approx(expected)
    same = torch.zeros(1, 2, 2, requires_grad=True)
    torch.autograd.backward(rmse_loss(same, torch.zeros(1, 2, 2)))
    assert same.grad is not None
    assert bool(torch.isfinite(same.grad).all())


def test_the_elastic_net_is_of_the_convolutions_weights_and_activity() -> None:
    layer = nn.Conv2d(1, 2, 3, padding="same")
    network = nn.Sequential(layer, nn.Linear(4, 4))
    penalty = ElasticNet(network, 0.5, 0.25)
    output = layer(x := torch.randn(2, 1, 5, 4))
    network(x)
    both = [layer.weight, output, output]
    expected = torch.stack([0.5 * v.abs().mean() + 0.25 * v.square().mean() for v in both]).sum()
    assert penalty().detach().item() == pytest.approx(expected.detach().item())
    network.eval()
    network(x)
    # what was heard before, and what is heard outside of training, costs nothing
    only_weights = 0.5 * layer.weight.abs().mean() + 0.25 * layer.weight.square().mean()
    assert penalty().detach().item() == pytest.approx(only_weights.detach().item())
