"""The summary of a report in words and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.report.curve import Curve, Hearing
from streamer.report.envelope import Envelope
from streamer.report.sections import find_sections
from streamer.report.summary import Summary, in_words, summarise
from streamer.report.wording import decibels, join, length_text, percent, time_marks, time_text

STEP = 0.5


def hearing_of(*levels: tuple[float, float, float], warming: int = 0) -> Hearing:
    """Give what was heard of music that goes from level to level: seconds, valence and arousal of each."""
    columns = [np.tile([[valence], [arousal]], int(seconds / STEP)) for seconds, valence, arousal in levels]
    valence, arousal = np.concatenate(columns, axis=1)
    std = valence * 0 + 0.2
    loudness = np.where(np.isnan(valence), -200.0, -20.0)
    curve = Curve(STEP, valence, arousal, std, std, loudness, np.arange(len(valence)) < warming)
    envelope = Envelope(100)
    envelope.add(np.full((int(len(valence) * STEP * 100), 1), 0.5, np.float32))
    return Hearing(len(valence) * STEP, curve, envelope.waveform(), "default", 10.0, STEP, "", 0)


def words_of(hearing: Hearing) -> tuple[Summary, str]:
    summary = summarise(hearing)
    return summary, " ".join(in_words(summary, find_sections(hearing.curve, hearing.duration)))


def test_music_of_one_mood() -> None:
    summary, words = words_of(hearing_of((60, 0.35, -0.35)))
    assert words == (
        "On the whole, the music is calm: valence +0.35, arousal -0.35. It stays calm from beginning to end. "
        "No moment of it is joyful or tense."
    )
    assert summary.quadrants == (0, 0, 0, 1)
    assert [moment.time for moment in summary.moments] == [None, None, None, 0]
    assert summary.peak == pytest.approx(-6.02, abs=0.01)
    assert summary.loudness == pytest.approx(-20)


def test_music_that_turns() -> None:
    summary, words = words_of(hearing_of((30, -0.5, -0.5), (20, 0.5, 0.5), (10, 0.6, 0.6)))
    assert "It begins sad and turns excited at 0:30." in words
    assert "It is most joyful at 0:50; no moment of it is tense." in words
    assert summary.quadrants == pytest.approx((0.5, 0, 0.5, 0))
    assert summary.valence is not None
    assert (summary.valence.least, summary.valence.greatest) == (-0.5, 0.6)


def test_music_that_changes_all_the_time() -> None:
    levels = [(20.0, 0.5, 0.5), (40.0, -0.5, -0.5)] * 4
    _, words = words_of(hearing_of(*levels))
    assert "It changes 7 times, from excited to sad, and is mostly sad (67\N{NO-BREAK SPACE}%) and excited" in words


def test_first_guesses_and_silence_are_told_and_do_not_count() -> None:
    hearing = hearing_of((5, -0.8, 0.8), (40, 0.3, 0.3), (15, np.nan, np.nan), warming=10)
    summary, words = words_of(hearing)
    assert "15 seconds of 1:00 is silence and for 5 seconds the model had not heard enough yet" in words
    assert summary.valence is not None
    assert summary.valence.mean == pytest.approx(0.3)
    assert summary.quadrants == (1, 0, 0, 0)
    assert summary.moments[1].time is None
    assert (summary.silence, summary.warming) == (15, 5)


@given(st.floats(0.1, 1e6), st.integers(2, 20))
def test_marks_of_time_are_few_and_even(duration: float, most: int) -> None:
    marks = time_marks(duration, most)
    assert 1 <= len(marks) <= most
    assert marks[0] == 0
    assert marks[-1] <= duration
    assert len(set(np.diff(marks))) <= 1


def test_how_things_are_written() -> None:
    assert [time_text(second) for second in (0, 9.99, 65, 3600, 36061)] == [
        "0:00",
        "0:09",
        "1:05",
        "1:00:00",
        "10:01:01",
    ]
    assert [length_text(second) for second in (1, 5.55, 60)] == ["1 second", "5.5 seconds", "1:00"]
    assert [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0, 0.001, 0.5, 1)] == [
        "0 %",
        "< 1 %",
        "50 %",
        "100 %",
    ]
    assert [decibels(level) for level in (-200, -14.4, -0.2)] == ["silent", "−14 dB", "0 dB"]
    assert join(["a"]) == "a"
    assert join(["a", "b", "c"], "or") == "a, b or c"
