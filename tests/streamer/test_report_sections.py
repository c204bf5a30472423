"""The laws of cutting a curve into sections, and what is gathered while a file is read."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.report.curve import HINDSIGHT, Curve, Hearing, hindsight
from streamer.report.envelope import FINEST_BINS, MOST_BINS, Envelope
from streamer.report.page import make_page
from streamer.report.partition import partition
from streamer.report.sections import SHORTEST, SILENCE, find_sections, penalty
from streamer.report.summary import summarise

STEP = 0.5
LEVELS = st.floats(-1, 1).map(lambda value: round(value, 2))


def curve_of(valence: NDArray[np.float64], arousal: NDArray[np.float64], warming: int = 0) -> Curve:
    heard = ~np.isnan(valence)
    std = np.where(heard, 0.2, np.nan)
    loudness = np.where(heard, -20.0, -200.0)
    return Curve(STEP, valence, arousal, std, std, loudness, heard & (np.arange(len(valence)) < warming))


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Stretches of music at some level, with noise, and of silence, of any length."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    noise = draw(st.sampled_from([0.0, 0.03, 0.1]))
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 90))
        if draw(st.integers(0, 3)) == 0:
            parts.append(np.full((2, count), np.nan))
        else:
            level = np.array([[draw(LEVELS)], [draw(LEVELS)]])
            parts.append(np.clip(level + noise * random.standard_normal((2, count)), -1, 1))
    valence, arousal = np.concatenate(parts, axis=1)
    return curve_of(valence, arousal, draw(st.sampled_from([0, 13])))


@given(curves(), st.floats(0, 0.49))
@settings(max_examples=80)
def test_sections_tile_the_song(curve: Curve, rest: float) -> None:
    duration = len(curve.valence) * STEP + rest
    sections = find_sections(curve, duration)
    assert sections[0].start == 0
    assert sections[-1].end == duration
    for one, other in pairwise(sections):
        assert one.start < one.end == other.start


@given(curves())
@settings(max_examples=80)
def test_sections_are_not_too_short(curve: Curve) -> None:
    sections = find_sections(curve, len(curve.valence) * STEP)
    for number, section in enumerate(sections):
        around = [sections[at].word for at in (number - 1, number + 1) if 0 <= at < len(sections)]
        if section.word != SILENCE and all(word == SILENCE for word in around):
            continue  # music between silences is as long as it is
        if len(sections) > 1:
            assert section.end - section.start >= SHORTEST
    for one, other in pairwise(sections):
        assert not one.word == other.word == SILENCE


@given(curves(), st.integers(1, 3))
@settings(max_examples=40)
def test_later_music_has_the_same_sections_later(curve: Curve, minutes: int) -> None:
    silent = np.full(minutes * 120, np.nan)
    shifted = curve_of(np.concatenate([silent, curve.valence]), np.concatenate([silent, curve.arousal]))
    plain = curve_of(curve.valence, curve.arousal)
    duration = len(curve.valence) * STEP
    delay = minutes * 60
    before = [one for one in find_sections(plain, duration) if one.word != SILENCE]
    after = [one for one in find_sections(shifted, duration + delay) if one.word != SILENCE]
    assert len(before) == len(after)
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        if number or plain.heard[0]:  # a short silence at the beginning belongs to the music, a long one does not
            assert other.start == pytest.approx(one.start + delay)
        assert other.end == pytest.approx(one.end + delay)
        assert other.word == one.word


@given(LEVELS, LEVELS, st.integers(1, 600), st.sampled_from([0, 13]))
def test_a_constant_curve_is_one_section(valence: float, arousal: float, count: int, warming: int) -> None:
    curve = curve_of(np.full(count, valence), np.full(count, arousal), warming)
    (section,) = find_sections(curve, count * STEP)
    assert section.valence == pytest.approx(valence)
    assert section.arousal == pytest.approx(arousal)
    assert section.loudness == pytest.approx(-20)


@given(st.integers(40, 200), st.integers(40, 200), st.sampled_from([-1, 1]))
def test_a_real_change_is_found_where_it_is(before: int, after: int, sign: int) -> None:
    random = np.random.default_rng(before * 1000 + after)
    valence = np.repeat([0.0, 0.3 * sign], [before, after]) + 0.02 * random.standard_normal(before + after)
    first, second = find_sections(curve_of(valence, np.zeros(before + after)), (before + after) * STEP)
    assert first.end == second.start == before * STEP


def test_first_guesses_make_no_section() -> None:
    valence = np.concatenate([np.full(20, -0.6), np.full(100, 0.4)])
    (section,) = find_sections(curve_of(valence, np.zeros(120), warming=20), 60.0)
    assert section.valence == pytest.approx(0.4)


def test_music_after_a_short_rest_begins_where_it_sounds() -> None:
    valence = np.concatenate([np.full(60, -0.4), np.full(6, np.nan), np.full(70, 0.4)])
    curve = curve_of(valence, np.zeros(136))
    curve.warming[66:80] = True
    assert [one.start for one in find_sections(curve, 68.0)] == [0, 33]


def cost(values: NDArray[np.float64], starts: list[int], border: float) -> float:
    parts = [values[begin:end] for begin, end in pairwise([*starts, len(values)])]
    return sum(float(np.square(part - part.mean(axis=0)).sum()) for part in parts) + border * (len(parts) - 1)


def partitions(count: int, shortest: int) -> list[list[int]]:
    """Give every way to cut so many values into stretches that are not too short."""
    found = [[0]]
    for start in range(shortest, count - shortest + 1):
        found += [[*before, start] for before in partitions(start, shortest)]
    return found


@given(st.lists(st.tuples(LEVELS, LEVELS), min_size=1, max_size=12), st.floats(0, 1.5), st.integers(1, 4))
@settings(max_examples=150)
def test_no_partition_costs_less(points: list[tuple[float, float]], border: float, shortest: int) -> None:
    values = np.array(points)
    starts = partition(values, border, shortest)
    least = min(cost(values, one, border) for one in partitions(len(values), shortest))
    assert starts in partitions(len(values), shortest)
    assert cost(values, starts, border) == pytest.approx(least, abs=1e-9)


def test_three_hours_are_cut_in_seconds() -> None:
    random = np.random.default_rng(3)
    levels = np.repeat(random.uniform(-0.5, 0.5, (90, 2)), 240, axis=0)
    values = levels + 0.02 * random.standard_normal(levels.shape)
    starts = partition(values, penalty(len(values), STEP), round(SHORTEST / STEP))
    changes = [at for at in range(240, len(values), 240) if math.dist(levels[at - 1], levels[at]) > 0.2]
    assert set(changes) <= set(starts)
    assert len(starts) <= 90


@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(1, 3), st.sampled_from([8000, 44100]))
@settings(max_examples=40)
def test_the_envelope_is_the_same_for_blocks_of_any_size(sizes: list[int], channels: int, rate: int) -> None:
    random = np.random.default_rng(sum(sizes))
    samples = random.uniform(-1, 1, (sum(sizes), channels)).astype(np.float32)
    whole, pieces = Envelope(rate), Envelope(rate)
    whole.add(samples)
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        pieces.add(samples[end - size : end])
    one, other = whole.waveform(), pieces.waveform()
    np.testing.assert_array_equal(one.peak, other.peak)
    np.testing.assert_allclose(one.level, other.level, rtol=1e-6)
    per_bin = rate // FINEST_BINS
    expected = [float(np.abs(samples[at : at + per_bin]).max()) for at in range(0, len(samples), per_bin)]
    np.testing.assert_array_equal(one.peak, np.array(expected, np.float32))
    power = [float(np.square(samples[at : at + per_bin]).mean()) for at in range(0, len(samples), per_bin)]
    np.testing.assert_allclose(one.level, np.sqrt(power), rtol=1e-5)


def test_the_envelope_of_a_day_is_as_large_as_that_of_a_minute() -> None:
    envelope = Envelope(1000)
    block = np.full((1000 * 60, 1), 0.5, np.float32)
    for _ in range(5):
        envelope.add(block)
    envelope.skip(1000 * 86000)
    block[-1] = -0.9
    envelope.add(block)
    waveform = envelope.waveform()
    assert MOST_BINS / 2 <= len(waveform.peak) <= MOST_BINS
    assert len(waveform.peak) * waveform.bin_duration == pytest.approx(envelope.duration, abs=waveform.bin_duration)
    assert waveform.peak[0] == np.float32(0.5)
    assert waveform.peak[-1] == np.float32(0.9)
    assert waveform.peak[len(waveform.peak) // 2] == 0


def test_what_is_no_number_is_silence() -> None:
    envelope = Envelope(1000)
    envelope.add(np.array([[np.nan, 0.25], [np.inf, -0.5], [1e30, 0.0]], np.float32))
    assert envelope.waveform().peak.max() == np.float32(0.5)
    assert np.isfinite(envelope.waveform().level).all()


def test_a_moment_has_the_estimate_of_some_seconds_later() -> None:
    shift = round(HINDSIGHT / STEP)
    heard = np.array([True] * 20 + [False] * 4 + [True] * 3)
    position = (np.arange(27) + 1) * STEP
    order = hindsight(position, heard, STEP)
    assert order[:20].tolist() == [min(at + shift, 19) for at in range(20)]
    assert order[20:].tolist() == [20, 21, 22, 23, 26, 26, 26]
    position[10:] += 60  # what was lost in between ends the music too
    assert hindsight(position, heard, STEP)[:10].tolist() == [min(at + shift, 9) for at in range(10)]


def test_a_model_without_uncertainty_has_none_drawn() -> None:
    values = np.linspace(-0.3, 0.3, 80)
    curve = dataclasses.replace(curve_of(values, values), valence_std=values * np.nan, arousal_std=values * np.nan)
    envelope = Envelope(100)
    envelope.add(np.full((4000, 1), 0.1, np.float32))
    hearing = Hearing(40.0, curve, envelope.waveform(), "other", 10.0, STEP, "", 0)
    summary = summarise(hearing)
    sections = find_sections(curve, 40.0)
    assert summary.valence is not None
    assert summary.valence.std is None
    page = make_page("song.wav", hearing, summary, sections)
    assert 'class="line valence"' in page
    assert 'class="band valence"' not in page
    assert "uncertainty" not in page.split("<script")[0]
