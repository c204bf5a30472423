from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import FeatureParameters
from streamer.framer import Framer, frames_of
from streamer.samples import Samples
from streamer.source import Block, SourceError

PARAMETERS = FeatureParameters()


def _noise(seconds: float, rate: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels)).astype(np.float32)


def _frames(samples: np.ndarray, rate: int, cuts: list[int]) -> tuple[np.ndarray, list[float]]:
    framer = Framer(rate, PARAMETERS)
    frames = [frame for block in np.split(samples, cuts) for frame in framer.push(block)]
    frames += framer.finish()
    return np.stack([frame.samples for frame in frames]), [frame.position for frame in frames]


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([8000, 22050, 44100, 48000, 96000]),
    channels=st.sampled_from([1, 2, 3, 6]),
    cuts=st.lists(st.integers(0, 17_000), max_size=60),
)
def test_block_sizes_do_not_matter(rate: int, channels: int, cuts: list[int]) -> None:
    samples = _noise(2.1, rate, channels)
    whole, positions = _frames(samples, rate, [])
    parts, part_positions = _frames(samples, rate, sorted(cuts))
    np.testing.assert_array_equal(parts, whole)
    assert part_positions == positions == [0.5, 1.0, 1.5, 2.0]


def test_single_samples_as_blocks() -> None:
    samples = _noise(1.2, 44100, 2)
    whole, _ = _frames(samples, 44100, [])
    parts, _ = _frames(samples, 44100, list(range(1, len(samples))))
    np.testing.assert_array_equal(parts, whole)


def test_resampling_is_soxrs_in_one_go() -> None:
    samples = _noise(3.0, 48000, 1)
    frames, _ = _frames(samples, 48000, list(range(0, len(samples), 1000)))
    expected = soxr.resample(samples[:, 0], 48000, 22050, quality="HQ")
    np.testing.assert_allclose(frames.ravel(), expected[: frames.size], atol=1e-6)


def test_channels_are_averaged() -> None:
    samples = np.tile(np.array([[0.5, -0.25]], np.float32), (22050, 1))
    frames, _ = _frames(samples, 22050, [])
    np.testing.assert_array_equal(frames, np.full((2, 11025), 0.125, np.float32))


def test_what_is_not_a_number_becomes_silence_and_is_counted() -> None:
    samples = np.full((22050, 2), 0.5, np.float32)
    samples[100, 0] = np.nan
    samples[200] = [np.inf, -np.inf]
    samples[300, 1] = 1e30
    framer = Framer(22050, PARAMETERS)
    (first, _second) = framer.push(samples)
    assert framer.invalid == 4
    assert np.isfinite(first.samples).all()
    assert first.samples[100] == 0.25
    assert first.samples[200] == 0
    assert first.samples[300] == 0.25


def test_positions_stay_true_over_lost_audio() -> None:
    framer = Framer(44100, PARAMETERS)
    before = list(framer.push(_noise(1.3, 44100, 1)))
    framer.skip(44100 * 3)
    after = list(framer.push(_noise(1.3, 44100, 1))) + list(framer.finish())
    assert [frame.position for frame in before] == [0.5, 1.0]
    assert [frame.position for frame in after] == pytest.approx([4.8, 5.3])
    assert [frame.gap for frame in before] == [0.0, 0.0]
    assert [frame.gap for frame in after] == pytest.approx([3.3, 0.0])
    assert framer.dropped == 3.0


def test_two_losses_in_a_row_make_one_gap() -> None:
    framer = Framer(22050, PARAMETERS)
    framer.skip(22050)
    framer.skip(22050)
    (frame,) = framer.push(_noise(0.5, 22050, 1))
    assert (frame.position, frame.gap) == (2.5, 2.0)


class _Broken(Samples):
    def blocks(self) -> Iterator[Block]:
        yield from super().blocks()
        raise SourceError("the cable was pulled")


def test_what_came_before_a_break_is_framed() -> None:
    frames = frames_of(_Broken("noise", _noise(2.0, 44100, 1), 44100), Framer(44100, PARAMETERS))
    assert [next(frames).position for _ in range(4)] == [0.5, 1.0, 1.5, 2.0]
    with pytest.raises(SourceError, match="cable"):
        next(frames)


def test_less_than_a_frame_is_an_error() -> None:
    frames = frames_of(Samples("noise", _noise(0.4, 44100, 1), 44100), Framer(44100, PARAMETERS))
    with pytest.raises(SourceError, match="noise is shorter than one frame"):
        list(frames)
