"""A day without drift, in miniature: hours of audio through the whole path, and positions after a day."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint, load_checkpoint
from model.features import FeatureParameters, FloatArray, Frontend
from model.network import EmotionNetwork, NetworkParameters
from scripts.benchmarks.soak.day import DayLedger, run_day
from scripts.benchmarks.soak.simulated_card import BEGAN, SAMPLE_RATE, SimulatedCard
from scripts.benchmarks.soak.usage import memory_slope
from streamer.framer import Framer
from streamer.live import LiveStream
from streamer.messages import Estimate, StreamState
from streamer.source import Block
from streamer.tracker import Tracker

HOURS = 2.0
LARGEST_SLOPE = 1500.0
"""KB per hour of audio, 210 bytes for each of its 7200 frames: allocators still grow by some hundred KB in the first
hours, and whatever is kept of each frame is larger."""
DAY = 24 * 3600


@pytest.fixture(scope="module")
def cheap_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint of random weights that costs next to nothing to run."""
    features = FeatureParameters(mel_bands=8)
    random = np.random.default_rng(0)
    mel = random.random((8, features.fft_window // 2 + 1), dtype=np.float32)
    chroma = random.random((12, features.frame_length // 2 + 1), dtype=np.float32)
    torch.manual_seed(0)
    network = EmotionNetwork(features, NetworkParameters(window=4, columns=("logmel_mean",))).eval()
    path = tmp_path_factory.mktemp("model") / "cheap.safetensors"
    Checkpoint("cheap", Frontend(features, mel, chroma), network).save(path)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hours_of_audio_leave_no_trace(cheap_model: Path) -> None:
    outcome = run_day(HOURS, model=str(cheap_model), readings_per_hour=60)
    ledger = outcome.ledger
    assert outcome.failures == []
    assert outcome.sent == ledger.received
    assert HOURS * 7200 * 0.99 < ledger.received <= HOURS * 7200
    assert ledger.gaps == outcome.losses == round(HOURS * 4)
    assert len(outcome.usages) > 60 * HOURS * 0.8
    assert outcome.slope.per_hour < LARGEST_SLOPE + 3 * outcome.slope.error, str(outcome.slope)


class _BadlyGuessedLoss:
    """A minute of audio; in its middle 5 s are lost, of which the source thinks that they were `guessed` seconds."""

    name = "a card that guesses"
    live = True
    zeros_hint = ""
    sample_rate = 22050

    def __init__(self, guessed: float) -> None:
        self.guessed = guessed

    def blocks(self) -> Iterator[Block]:
        random = np.random.default_rng(0)
        for index in range(600):
            lost = round(self.guessed * self.sample_rate) if index == 300 else 0
            captured = BEGAN + (index + 1) / 10 + (5.0 if index >= 300 else 0.0)
            samples = random.normal(0, 0.1, (self.sample_rate // 10, 1)).astype(np.float32)
            yield Block(samples, lost, captured + random.uniform(0, 0.05))

    def close(self) -> None:
        pass


class _Estimates:
    """Keeps what a tracker says."""

    def __init__(self) -> None:
        self.estimates: list[Estimate] = []

    def publish(self, estimate: Estimate) -> None:
        self.estimates.append(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        pass


@pytest.mark.parametrize("guessed", [4.7, 5.3])
def test_a_loss_that_was_guessed_badly_does_not_spoil_the_time(cheap_model: Path, guessed: float) -> None:
    checkpoint, outlet = load_checkpoint(cheap_model), _Estimates()
    tracker = Tracker(checkpoint, outlet.publish)
    source = _BadlyGuessedLoss(guessed)
    live = LiveStream("a", source, tracker, outlet, checkpoint.frontend.parameters, paced=False)
    live.start()
    assert live.join(60)
    tracker.close()
    assert live.error is None
    times = [estimate.time for estimate in outlet.estimates]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    for estimate in outlet.estimates:
        if estimate.position > 30 + guessed + 3:
            assert estimate.time == pytest.approx(BEGAN + estimate.position + 5 - guessed, abs=0.02)
        elif 10 < estimate.position <= 30:
            assert estimate.time == pytest.approx(BEGAN + estimate.position, abs=0.02)


def test_the_ledger_sees_what_is_wrong() -> None:
    card = SimulatedCard(1.0, seed=0)

    def estimate(sequence: int, sample: int, error: float = 0.0) -> list[object]:
        return ["estimate", 0.0, sequence, card.time(sample) + error, round(sample / SAMPLE_RATE, 6), "tracking"]

    good = [22050 * frame for frame in range(1, 41)]
    ledger = DayLedger(card)
    for sequence, sample in enumerate(good):
        ledger.take(estimate(sequence, sample))
    assert (ledger.lost, ledger.backwards, ledger.inexact, ledger.gaps) == (0, 0, [], 0)
    assert ledger.error < 1e-3
    ledger.take(estimate(41, good[-1] + 22050))
    assert ledger.lost == 1
    ledger.take(estimate(42, good[-1] + 2 * 22050 + 1))
    assert len(ledger.inexact) == 1
    ledger.take(estimate(43, good[-1] + 3 * 22050 + 1, error=-3.0))
    assert ledger.backwards == 1
    assert ledger.error == pytest.approx(3.0, abs=1e-3)
    first = card.losses[0]
    ledger.take(estimate(44, first.end + 22050))
    assert (len(ledger.inexact), ledger.gaps) == (1, 2)


def test_a_slope_is_found_under_noise() -> None:
    hours = np.linspace(0, 24, 200)
    memory = 250_000 + 12.0 * hours + np.random.default_rng(0).normal(0, 50, 200)
    slope = memory_slope(hours.tolist(), memory.astype(int).tolist())
    assert slope.per_hour == pytest.approx(12.0, abs=4 * slope.error)
    assert 0 < slope.error < 2
    assert 40 < slope.noise < 60


def _parameters(rate: int, duration: float = 0.5) -> FeatureParameters:
    return FeatureParameters(
        sample_rate=rate, frame_duration=duration, fft_window=rate // 20, fft_hop=rate // 50, mel_high=rate / 2.5
    )


@pytest.mark.parametrize(
    ("rate", "duration"),
    [(8000, 0.5), (11025, 0.5), (11025, 0.1)],
    ids=["whole frames", "frames of 5512 samples, not 5512.5", "short frames"],
)
def test_positions_are_exact_after_a_day(rate: int, duration: float) -> None:
    """Frames of a rate that half a second does not divide are a little shorter, and so are their positions."""
    parameters = _parameters(rate, duration)
    framer = Framer(rate, parameters)
    hour = np.zeros((600 * rate, 1), np.float32)
    count = 0
    for _ in range(6 * 24):
        for frame in framer.push(hour):
            count += 1
            assert frame.position == count * parameters.frame_length / rate
    assert count == DAY * rate // parameters.frame_length


@settings(max_examples=60)
@given(
    rate=st.sampled_from([8000, 11025, 22050, 32000, 44100, 48000, 44101, 96000, 192000]),
    model_rate=st.sampled_from([8000, 11025, 22050, 44100]),
    parts=st.lists(st.tuples(st.integers(1, 10**10), st.integers(0, 3000)), min_size=1, max_size=8),
)
def test_positions_and_gaps_are_those_of_integers(rate: int, model_rate: int, parts: list[tuple[int, int]]) -> None:
    """Losses of up to days at any rate: each position is the float nearest to the exact one, and gaps add up."""
    parameters = _parameters(model_rate, 0.05)
    framer = Framer(rate, parameters)
    frame_length = Fraction(parameters.frame_length, model_rate)
    taken, ends = 0, Fraction(0)
    for lost, milliseconds in parts:
        framer.skip(lost)
        taken += lost
        start, index = Fraction(taken, rate), 0
        samples = np.zeros((milliseconds * rate // 1000, 1), np.float32)
        for frame in framer.push(samples):
            index += 1
            exact = start + index * frame_length
            assert frame.position == float(exact)
            assert frame.gap == float(exact - frame_length - ends)
            ends = exact
        taken += len(samples)
        assert index <= Fraction(len(samples), rate) / frame_length
    assert framer.lost == sum(lost for lost, _ in parts)


def _clicks(rate: int, seconds: int, every: int) -> Iterator[FloatArray]:
    """Give a second at a time, with a click in the middle of each second that `every` divides."""
    shape = np.exp(-0.5 * (np.arange(-200, 201) / (0.001 * rate)) ** 2).astype(np.float32)
    silence = np.zeros((rate, 1), np.float32)
    click = silence.copy()
    click[rate // 4 - 200 : rate // 4 + 201, 0] = shape
    for second in range(seconds):
        yield silence if second % every else click


@pytest.mark.parametrize(("rate", "hours"), [(11025, 2), (44100, 1)])
def test_what_is_heard_at_a_position_was_played_there(rate: int, hours: int) -> None:
    """The resampler does not drift: hours later a click is still where it was played, to a hundredth of a sample."""
    parameters = FeatureParameters()
    framer = Framer(rate, parameters)
    errors = []
    for second, block in enumerate(_clicks(rate, hours * 3600, 300)):
        for frame in framer.push(block):
            if frame.samples.max() > 0.5:
                weights = np.where(frame.samples > 0.01, frame.samples, 0).astype(float)
                centre = weights @ np.arange(len(weights)) / weights.sum()
                heard = frame.position - parameters.frame_duration + centre / parameters.sample_rate
                errors.append((heard - (second // 300 * 300 + (rate // 4) / rate)) * rate)
    assert len(errors) == hours * 12
    assert np.abs(errors).max() < 0.01


def test_a_path_that_cannot_start_is_said_to_have_ended(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with status 1"):
        run_day(0.01, model=str(tmp_path / "missing.safetensors"))
