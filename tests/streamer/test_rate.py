"""More than two estimates a second, from frames that overlap."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import FeatureParameters
from streamer.framer import Frame, Framer, phases_of_rate
from streamer.live import LiveStream
from streamer.offline import track
from streamer.samples import Samples
from streamer.source import SourceError
from streamer.tracker import Tracker
from tests.streamer.hearing import hearing_checkpoint
from tests.streamer.test_tracker import Recorder

PARAMETERS = FeatureParameters()
RATE = PARAMETERS.sample_rate
LENGTH = PARAMETERS.frame_length
MOODRING = [sys.executable, "-m", "streamer.cli"]


def test_rates_are_those_that_divide_a_frame() -> None:
    assert {rate: phases_of_rate(rate, PARAMETERS) for rate in (2, 6, 10, 14, 18, 30)} == {
        2: 1, 6: 3, 10: 5, 14: 7, 18: 9, 30: 15,
    }  # fmt: skip
    for rate in (5, 0, -2, 100, float("nan")):
        with pytest.raises(SourceError, match=r"cannot be had with this model; choose 2, 6, 10, 14, 18 or 30$"):
            phases_of_rate(rate, PARAMETERS)
    with pytest.raises(ValueError, match="2 phases do not divide"):
        Framer(RATE, PARAMETERS, 2)


@settings(max_examples=30, deadline=None)
@given(
    phases=st.sampled_from([1, 3, 5, 15]),
    cuts=st.lists(st.integers(0, 45_000), max_size=20),
    losses=st.lists(st.integers(1, 30_000), max_size=3),
)
def test_each_phase_is_a_sequence_of_frames_of_its_own(phases: int, cuts: list[int], losses: list[int]) -> None:
    """Whatever the blocks and the losses between them."""
    samples = np.random.default_rng(0).normal(0, 0.1, (45_000, 1)).astype(np.float32)
    timeline: list[np.ndarray] = []
    framer, single = Framer(RATE, PARAMETERS, phases), Framer(RATE, PARAMETERS)
    frames: list[Frame] = []
    singles: list[Frame] = []
    blocks = np.split(samples, sorted(cuts))
    for number, block in enumerate(blocks):
        if 0 < number <= len(losses):
            timeline.append(np.full(losses[number - 1], np.nan, np.float32))
            framer.skip(losses[number - 1])
            single.skip(losses[number - 1])
        timeline.append(block[:, 0])
        frames += framer.push(block)
        singles += single.push(block)
    heard = np.concatenate(timeline)
    last = [phase * LENGTH // phases for phase in range(phases)]
    for frame in frames:
        end = round(frame.position * RATE)
        assert frame.position == end / RATE
        np.testing.assert_array_equal(frame.samples, heard[end - LENGTH : end])
        assert frame.gap == (end - LENGTH - last[frame.phase]) / RATE
        last[frame.phase] = end
    assert [frame.position for frame in frames] == sorted({frame.position for frame in frames})
    of_first = [frame for frame in frames if frame.phase == 0]
    assert [(frame.position, frame.gap) for frame in of_first] == [(frame.position, frame.gap) for frame in singles]


def test_an_estimate_is_the_mean_of_those_of_streams_that_begin_a_phase_apart(piece: np.ndarray) -> None:
    checkpoint = hearing_checkpoint()
    mono = piece[: 2 * RATE * 9 : 2].mean(axis=1, keepdims=True).astype(np.float32)
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish, phases=5)
    live = LiveStream("a", Samples("test", mono, RATE), tracker, recorder, checkpoint.frontend.parameters, paced=False)
    live.start()
    assert live.join(60)
    tracker.close()
    assert live.error is None
    assert [one.sequence for one in recorder.estimates] == list(range(len(recorder.estimates)))
    np.testing.assert_allclose(np.diff([one.position for one in recorder.estimates]), 0.1, atol=1e-9)
    of_phases = [
        list(track(Samples("test", mono[phase * LENGTH // 5 :], RATE), Framer(RATE, PARAMETERS), checkpoint, "a"))
        for phase in range(5)
    ]
    interleaved = [one for together in zip_longest(*of_phases) for one in together if one is not None]
    assert len(interleaved) == len(recorder.estimates)
    for number, (one, newest) in enumerate(zip(recorder.estimates, interleaved, strict=True)):
        last = interleaved[max(0, number - 4) : number + 1]
        assert one.valence == pytest.approx(np.mean([other.valence for other in last]), abs=1e-4)
        assert one.arousal == pytest.approx(np.mean([other.arousal for other in last]), abs=1e-4)
        assert one.arousal_std == pytest.approx(np.mean([other.arousal_std for other in last]), abs=1e-4)
        assert (one.state, one.loudness) == (newest.state, newest.loudness)
    # one mood for all of them
    values = [one.arousal for one in interleaved]
    assert recorder.estimates[-1].mood.arousal == pytest.approx(np.mean(values), abs=1e-4)


def test_the_command_line(song: Path, tmp_path: Path) -> None:
    excerpt = tmp_path / "excerpt.wav"
    samples, rate = soundfile.read(song, stop=4 * 44100)
    soundfile.write(excerpt, samples, rate)
    command = [*MOODRING, "stream", str(excerpt), "--fast", "--json", "--publish", "tcp://127.0.0.1:*"]

    def positions(*options: str) -> dict[float, float]:
        ended = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return {line["position"]: line["valence"] for line in map(json.loads, ended.stdout.splitlines())}

    usual, often = positions(), positions("--rate", "10")
    assert len(often) == 5 * len(usual) - 4
    assert set(usual) <= set(often)
    # lights that follow must not flicker: a step of a fifth of the time is well below a whole one
    steps = [np.abs(np.diff(list(values.values()))).mean() for values in (usual, often)]
    assert steps[1] < steps[0] / 2

    ended = subprocess.run([*command, "--rate", "7"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        "moodring: 7 estimates a second cannot be had with this model; choose 2, 6, 10, 14, 18 or 30\n"
    )
