import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.circumplex import NEUTRAL, NEUTRAL_RADIUS, OCTANTS, STRONG_RADIUS, mood_word, octant_at

AXIS = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("valence", "arousal", "word"),
    [
        (0.0, 0.0, "neutral"),
        (0.8, 0.0, "happy"),
        (0.5, 0.6, "excited"),
        (0.0, 0.9, "intense"),
        (-0.6, 0.5, "angry"),
        (-0.2, 0.2, "tense"),
        (-1.0, -0.0, "miserable"),
        (-1.0, 0.0, "miserable"),
        (-0.5, -0.5, "sad"),
        (-0.2, -0.2, "melancholy"),
        (0.0, -0.8, "sleepy"),
        (0.31, -0.20, "content"),
        (0.6, -0.6, "calm"),
    ],
)
def test_words_of_known_points(valence: float, arousal: float, word: str) -> None:
    assert mood_word(valence, arousal) == word


@given(AXIS, AXIS)
def test_every_point_has_the_word_of_the_nearest_angle(valence: float, arousal: float) -> None:
    octant = octant_at(valence, arousal)
    if math.hypot(valence, arousal) < NEUTRAL_RADIUS:
        assert octant is None
        assert mood_word(valence, arousal) == NEUTRAL
        return
    assert octant is not None
    angle = math.degrees(math.atan2(arousal, valence))
    distance = abs((angle - octant.angle + 180) % 360 - 180)
    assert distance <= 22.5 + 1e-9
    assert mood_word(valence, arousal) in (octant.mild, octant.strong)


def test_words_are_distinct_and_strength_follows_the_radius() -> None:
    assert len({word for octant in OCTANTS for word in (octant.mild, octant.strong)}) == 2 * len(OCTANTS)
    for octant in OCTANTS:
        x, y = math.cos(math.radians(octant.angle)), math.sin(math.radians(octant.angle))
        inside, outside = 0.99 * STRONG_RADIUS, 1.01 * STRONG_RADIUS
        assert mood_word(inside * x, inside * y) == octant.mild
        assert mood_word(outside * x, outside * y) == octant.strong


def test_borders_are_the_corners_and_the_middles_of_the_edges() -> None:
    assert [octant.border for octant in OCTANTS] == [
        (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1),
    ]  # fmt: skip
