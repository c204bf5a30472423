"""The example programs: their pure functions, and each as a user runs it, against a real publisher."""

import colorsys
import importlib.util
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Estimate, EstimateState, Mood
from streamer.publisher import Publisher

EXAMPLES = Path(__file__).parents[2] / "scripts" / "examples"
PROGRAMS = ("light_colour", "music_intensity")
AXIS = st.floats(-1, 1)
LEVEL = st.integers(0, 3)


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


light_colour = load("light_colour")
music_intensity = load("music_intensity")


def estimate(sequence: int, point: tuple[float, float] | None) -> Estimate:
    valence, arousal = point if point else (None, None)
    state: EstimateState = "tracking" if point else "silence"
    mood = Mood(None, None)
    return Estimate(
        "test", sequence, 1e9, sequence / 2, valence, arousal, None, None, mood, state, -20.0, 0.0, "made-up"
    )


@given(AXIS, AXIS)
def test_colours_are_in_range_and_brighten_with_arousal(valence: float, arousal: float) -> None:
    colour = light_colour.mood_colour(valence, arousal)
    assert all(0 <= part <= 1 for part in colour)
    assert colorsys.rgb_to_hsv(*colour)[2] == pytest.approx(0.65 + 0.35 * arousal)


@given(st.floats(0, math.tau), st.floats(0.05, 1))
def test_near_moods_have_near_colours(angle: float, radius: float) -> None:
    here, there = (
        light_colour.mood_colour(radius * math.cos(turned), radius * math.sin(turned))
        for turned in (angle, angle + 0.01)
    )
    assert max(abs(a - b) for a, b in zip(here, there, strict=True)) < 0.05


@pytest.mark.parametrize(
    ("valence", "arousal", "dominant"), [(0.4, 0.4, 0), (-0.4, 0.4, 0), (-0.4, -0.4, 2), (0.4, -0.4, 1)]
)
def test_excitement_and_anger_are_red_sadness_is_blue_calm_is_green(
    valence: float, arousal: float, dominant: int
) -> None:
    colour = light_colour.mood_colour(valence, arousal)
    assert max(range(3), key=lambda part: colour[part]) == dominant


@given(st.tuples(*[st.floats(0, 1)] * 3), st.tuples(*[st.floats(0, 1)] * 3), st.floats(0.001, 1))
def test_fading_in_two_steps_is_fading_in_one(start: tuple[float], target: tuple[float], seconds: float) -> None:
    halfway = light_colour.fade(start, target, seconds / 2)
    assert light_colour.fade(halfway, target, seconds / 2) == pytest.approx(light_colour.fade(start, target, seconds))
    assert light_colour.fade(start, target, 60.0) == pytest.approx(target)


@given(LEVEL, AXIS)
def test_a_level_is_settled_after_one_estimate(level: int, arousal: float) -> None:
    settled = music_intensity.next_level(level, arousal)
    assert settled in range(4)
    assert music_intensity.next_level(settled, arousal) == settled


@given(LEVEL, AXIS, AXIS)
def test_the_level_turns_back_only_when_arousal_has_crossed_both_margins(
    level: int, first: float, second: float
) -> None:
    after_first = music_intensity.next_level(level, first)
    after_second = music_intensity.next_level(after_first, second)
    if (after_first - level) * (after_second - after_first) < 0:
        assert abs(second - first) > 2 * music_intensity.MARGIN


@given(LEVEL, st.sampled_from(music_intensity.THRESHOLDS), st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_the_level_does_not_flap_at_a_threshold(level: int, threshold: float, wobble: list[float]) -> None:
    levels = []
    for amount in wobble:
        level = music_intensity.next_level(level, threshold + 0.99 * music_intensity.MARGIN * amount)
        levels.append(level)
    assert len(set(levels)) == 1


def test_levels_span_the_range_of_arousal_and_silence_calms() -> None:
    assert [music_intensity.next_level(0, arousal) for arousal in (-1, -0.15, 0.15, 1)] == [0, 1, 2, 3]
    assert [music_intensity.next_level(3, arousal) for arousal in (-1, -0.15, 0.15, 1)] == [0, 1, 2, 3]
    assert [music_intensity.calmed(level) for level in (3, 2, 1, 0)] == [2, 1, 0, 0]


@contextmanager
def running(name: str, endpoint: str) -> Iterator[Callable[[Callable[[str], bool]], str]]:
    """Start a program; give a function that reads its lines up to one that is wanted; end it with Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / f"{name}.py", "--endpoint", endpoint, "--stream", "test"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()

    def read_until(wanted: Callable[[str], bool]) -> str:
        for line in lines:
            if wanted(line.strip()):
                return line.strip()
        pytest.fail(f"{name} ended before it printed what was wanted")

    try:
        yield read_until
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


def distance(printed: str, colour: tuple[float, float, float]) -> float:
    parts = (int(printed[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return max(abs(a - b) for a, b in zip(parts, colour, strict=True))


def test_the_light_goes_to_the_colour_of_the_mood_and_back_in_silence() -> None:
    mood = (0.6, 0.7)
    colour = light_colour.mood_colour(*mood)
    with Publisher("tcp://127.0.0.1:*") as publisher, running("light_colour", publisher.endpoint) as read_until:
        read_until(lambda line: distance(line, light_colour.NEUTRAL) < 0.01)
        publisher.publish(estimate(0, mood))
        read_until(lambda line: distance(line, colour) < 0.2)
        publisher.publish(estimate(1, None))
        read_until(lambda line: distance(line, light_colour.NEUTRAL) < 0.2)


def test_the_intensity_rises_with_arousal_and_falls_step_by_step_in_silence() -> None:
    with Publisher("tcp://127.0.0.1:*") as publisher, running("music_intensity", publisher.endpoint) as read_until:
        assert read_until(lambda line: True).startswith("0")
        publisher.publish(estimate(0, (0.0, 0.9)))
        assert read_until(lambda line: True).startswith("3")
        publisher.publish(estimate(1, None))
        publisher.publish(estimate(2, None))
        assert read_until(lambda line: True).startswith("2")
        assert read_until(lambda line: True).startswith("1")


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_names_the_options(name: str) -> None:
    shown = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "--endpoint" in shown.stdout
    assert "--stream" in shown.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_short_and_need_nothing_heavy(name: str) -> None:
    program = EXAMPLES / f"{name}.py"
    assert len(program.read_text().splitlines()) < 100
    code = f"import sys, runpy; runpy.run_path({str(program)!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "librosa", "rich"} & set(loaded)
