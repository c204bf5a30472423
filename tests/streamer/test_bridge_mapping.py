"""Mappings: what is read from a file, what is refused, and what an engine makes of a stream by them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.bridges.destinations import KINDS
from streamer.bridges.dmx import Universes
from streamer.bridges.engine import Engine
from streamer.bridges.explain import explain
from streamer.bridges.glide import Glide
from streamer.bridges.mapping import Mapping
from streamer.bridges.mapping_file import MappingError, default_mapping, load_mapping, parse_mapping
from streamer.bridges.palettes import PALETTES, Palette
from tests.conftest import REPOSITORY
from tests.streamer.bridged import MOODRING, estimate, status

AXIS = st.floats(-1, 1)
TIME = st.floats(0.01, 10)
NUMBERS = st.tuples(st.floats(-300, 300), st.floats(-300, 300))

LIGHTS = """
stream = "stage"
rate = 40
[outputs.wash]
source = "emotion"
palette = "dusk"
layout = "rgbw"
universe = 2
channel = 10
attack = 0.5
release = 2
[outputs.pan]
source = "valence"
from = [-0.5, 0.5]
to = [255, 0]
universe = 2
channel = 1
bits = 16
[outputs.strobe]
source = "arousal"
on = 0.6
off = 0.4
universe = 2
channel = 20
[outputs.gate]
source = "state"
values = { tracking = 200, silence = 10 }
universe = 3
channel = 512
[outputs.level]
source = "loudness"
from = [-60, 0]
curve = "gamma"
universe = 2
channel = 30
[scenes.silent]
fade = 2
outputs = { wash = "#ff0000", strobe = 0 }
[scenes.dead]
outputs = { wash = "#000000", level = 0 }
[scenes.end]
fade = 1
outputs = { wash = "#000000" }
"""


def parsed(text: str, kind: str = "sacn") -> Mapping:
    return parse_mapping(text.encode(), "lights.toml", KINDS[kind])


def problems(text: str, kind: str = "sacn") -> tuple[str, ...]:
    with pytest.raises(MappingError) as refused:
        parsed(text, kind)
    return refused.value.problems


@given(NUMBERS, NUMBERS, TIME, TIME, TIME, TIME)
def test_a_glide_in_two_steps_is_one_glide(
    start: tuple[float, ...], target: tuple[float, ...], first: float, second: float, attack: float, release: float
) -> None:
    whole, halved = Glide(start), Glide(start)
    whole.aim(target, 0.0, attack, release)
    halved.aim(target, 0.0, attack, release)
    halved.aim(target, first, attack, release)
    assert halved.value(first + second) == pytest.approx(whole.value(first + second), abs=1e-6)


def test_a_glide_rises_by_attack_and_falls_by_release_and_fades_in_time() -> None:
    glide = Glide((0.0,))
    glide.aim((1.0,), 0.0, attack=0.5, release=2.0)
    assert glide.value(0.5)[0] == pytest.approx(1 - 1 / math.e)
    glide.fade((1.0,), 0.5, 0.0)
    glide.aim((0.0,), 1.0, attack=0.5, release=2.0)
    assert glide.value(3.0)[0] == pytest.approx(1 / math.e)
    glide.fade((5.0,), 3.0, 2.0)
    halfway = (5 + 1 / math.e) / 2
    assert [glide.value(at)[0] for at in (4.0, 5.0, 9.0)] == pytest.approx([halfway, 5, 5])


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
@given(valence=AXIS, arousal=AXIS, angle=st.floats(0, math.tau))
def test_palettes_are_in_range_without_a_jump_and_brighten_with_arousal(
    palette: Palette, valence: float, arousal: float, angle: float
) -> None:
    colour = palette.colour(valence, arousal)
    assert all(0 <= part <= 1 for part in colour)
    near = palette.colour(
        *(max(-1.0, min(1.0, c)) for c in (valence + 0.002 * math.cos(angle), arousal + 0.002 * math.sin(angle)))
    )
    assert max(abs(a - b) for a, b in zip(colour, near, strict=True)) < 0.05
    low, high = palette.brightness
    assert max(colour) <= low + (high - low) * (arousal + 1) / 2 + 1e-9


def test_the_palettes_say_what_they_promise() -> None:
    excited, sad = (PALETTES["vivid"].colour(*point) for point in ((0.5, 0.5), (-0.5, -0.5)))
    assert excited[0] == max(excited)
    assert sad[2] == max(sad)
    for angle in range(0, 360, 5):
        red, green, blue = PALETTES["dusk"].colour(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
        assert green <= max(red, blue)


def test_values_reach_their_channels() -> None:
    engine = Engine(parsed(LIGHTS), 0.0)
    universes = Universes()
    universes.set_up(engine.mapping)
    engine.hear(status(0), 0.0)
    engine.hear(estimate(0, (0.25, 0.8)), 0.0)
    universes.update(engine.values(100.0 - 98.0))
    first, second = universes.frames[2], universes.frames[3]
    assert int.from_bytes(first[0:2], "big") == round(65535 * 0.25)
    assert first[19] == 255  # the strobe is on
    assert first[29] == round(255 * ((60 - 20) / 60) ** 2.2)
    assert second[511] == 200
    assert min(first[9:12]) == 0  # what the three have in common is in the fourth
    assert first[12] > 0


def test_a_switch_keeps_between_its_thresholds_what_it_was() -> None:
    engine = Engine(parsed(LIGHTS), 0.0)
    told = []
    for sequence, arousal in enumerate((0.5, 0.61, 0.5, 0.41, 0.39, 0.5, 0.6)):
        engine.hear(estimate(sequence, (0.0, arousal)), 0.1 * sequence)
        engine.hear(status(sequence), 0.1 * sequence)
        told.append(engine.values(0.1 * sequence)["strobe"] == (255.0,))
    assert told == [False, True, True, True, False, False, True]


def test_scenes_come_in_silence_and_when_nothing_comes_and_go_again() -> None:
    engine = Engine(parsed(LIGHTS), 0.0)
    assert engine.scene == "dead"
    assert engine.values(0.0)["wash"] == (0.0,) * 4
    engine.hear(status(0), 1.0)
    engine.hear(estimate(0, (0.5, 0.5)), 1.0)
    assert engine.scene is None
    music = engine.values(3.9)["wash"]
    engine.hear(estimate(1, None), 3.9)
    assert engine.scene == "silent"
    red = (255.0, 0.0, 0.0, 0.0)
    assert engine.values(4.9)["wash"] == pytest.approx(tuple((a + b) / 2 for a, b in zip(music, red, strict=True)))
    assert engine.values(5.9)["wash"] == pytest.approx(red)
    assert engine.values(5.9)["gate"] == (10.0,)  # a source that goes on in silence
    assert engine.values(6.89)["wash"] == pytest.approx(red)
    assert engine.values(6.9)["wash"] == (0.0,) * 4
    assert engine.scene == "dead"
    assert engine.values(7.0)["gate"] == (10.0,)
    engine.hear(status(9), 8.0)
    engine.hear(estimate(9, (0.5, 0.5)), 8.0)
    assert engine.scene is None
    assert engine.values(12.0 - 1.1)["wash"] == pytest.approx(music, abs=3)
    assert engine.end(10.9) == 1.0
    assert engine.values(11.9)["wash"] == (0.0,) * 4


def test_one_stream_is_followed_and_another_when_it_has_ended() -> None:
    engine = Engine(default_mapping(KINDS["osc"]), 0.0)
    engine.hear(estimate(0, (0.1, 0.1), "bar"), 0.0)
    engine.hear(estimate(0, (0.9, 0.9), "stage"), 0.1)
    assert engine.values(0.2)["valence"] == pytest.approx((0.1,))
    engine.hear(status(1, "ended", "bar"), 0.2)
    assert engine.values(0.2)["status"] == "dead"
    engine.hear(estimate(1, (0.9, 0.9), "stage"), 0.3)
    assert engine.values(0.4)["valence"] == pytest.approx((0.9,))
    named = Engine(parsed(LIGHTS), 0.0)
    assert not named.hear(estimate(0, (0.1, 0.1), "bar"), 0.0)
    assert named.scene == "dead"


def test_what_a_run_said_before_is_over_with_the_next_run() -> None:
    engine = Engine(parsed(LIGHTS), 0.0)
    engine.hear(status(0), 0.0)
    engine.hear(estimate(0, (0.5, 0.5)), 0.0)
    engine.hear(status(0, started=2e9), 5.0)
    assert engine.scene == "silent"


def test_another_mapping_goes_on_from_where_the_old_one_was() -> None:
    engine = Engine(parsed(LIGHTS), 0.0)
    engine.hear(status(0), 0.0)
    engine.hear(estimate(0, (0.5, 0.5)), 0.0)
    before = engine.values(0.3)["wash"]
    engine.replace(parsed(LIGHTS.replace('palette = "dusk"', 'palette = "vivid"')), 0.3)
    assert engine.values(0.3)["wash"] == pytest.approx(before)
    assert engine.values(9.0)["wash"] != pytest.approx(before)


def test_everything_that_is_wrong_is_said_at_once_with_its_key_and_what_is_allowed() -> None:
    text = """
strem = "x"
rate = 0
[outputs.wash]
source = "emotion"
palette = "duskk"
layout = "rgbb"
channel = 511
[outputs.dim]
source = "arousl"
[outputs.strobe]
source = "arousal"
on = 0.5
off = 0.7
to = [0, 300]
channel = 511
[outputs.name]
source = "stream"
channel = 4
[outputs.pan]
source = "valence"
from = [1, -1]
gamma = 2.0
channel = 7
bits = 12
[palettes.own]
colours = ["#ff0000"]
[scenes.silent]
fade = -1
outputs = { wash = "blue", nothing = 3 }
[scenes.end]
fade = 5
[scenes.black]
"""
    told = problems(text)
    for wanted in (
        "strem is not a key of a mapping; did you mean",
        "rate = 0 is not valid; give updates a second, from 1 to 100",
        'outputs.wash.palette = "duskk" is not valid (did you mean "dusk"?); give vivid or dusk',
        'outputs.wash.layout = "rgbb" is not valid',
        "outputs.wash.channel = 511 needs channels up to 513; a universe has 512",
        'outputs.dim.source = "arousl" is not valid (did you mean "arousal"?)',
        "outputs.strobe.off = 0.7 is above on = 0.5",
        "outputs.strobe.to = [0, 300] is not valid; give two numbers from 0 to 255",
        "outputs.name.source is a text, which sacn cannot send",
        "outputs.pan.from = [1, -1] is not valid (the first is not the smaller one)",
        'outputs.pan.gamma is for another curve; give curve = "gamma"',
        "outputs.pan.bits = 12 is not valid; give 8 or 16",
        'palettes.own.colours = ["#ff0000"] is not valid; give 8 colours',
        "scenes.silent.fade = -1 is not valid",
        "scenes.silent.outputs.nothing is not a key of",
        "scenes.end.fade = 5 is not valid; give seconds from 0 to 1",
        "scenes.black is not a key of the scenes",
    ):
        assert any(line.startswith(f"lights.toml: {wanted}") for line in told), (wanted, told)


def test_two_outputs_cannot_have_the_same_channel_address_or_topic() -> None:
    twice = '[outputs.a]\nsource = "valence"\n{0}\n[outputs.b]\nsource = "arousal"\n{0}\n'
    assert "is taken by outputs.a.channel" in problems(twice.format("channel = 5"))[0]
    assert "is taken by outputs.a.address" in problems(twice.format('address = "/x"'), "osc")[0]
    assert "is taken by outputs.a.topic" in problems(twice.format('topic = "x"'), "mqtt")[0]
    shifted = '[outputs.a]\nsource = "emotion"\nchannel = 1\n[outputs.b]\nsource = "valence"\nchannel = 3\n'
    assert "is taken by outputs.a.channel" in problems(shifted)[0]


def test_smoothing_needs_updates_between_estimates() -> None:
    text = '[outputs.a]\nsource = "valence"\naddress = "/a"\nattack = 1\n'
    assert "outputs.a.attack needs updates between estimates; give rate" in problems(text, "osc")[0]
    assert parsed("rate = 25\n" + text, "osc").outputs[0].attack == 1.0


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"", b"outputs = 3", b"scenes = []", b"outputs.a = 1"])
def test_what_is_no_mapping_is_refused_in_one_line_each(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_bytes(content)
    with pytest.raises(MappingError) as refused:
        load_mapping(path, KINDS["osc"])
    assert all(line.startswith(str(path)) and "\n" not in line for line in refused.value.problems)
    with pytest.raises(MappingError, match="cannot be read"):
        load_mapping(tmp_path / "none.toml", KINDS["osc"])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_content_leads_to_anything_but_a_mapping_or_its_problems(content: bytes) -> None:
    with pytest.raises(MappingError):
        parse_mapping(content, "any", KINDS["osc"])


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_bridge_has_a_mapping_of_its_own_that_can_be_explained(kind: object) -> None:
    kind = KINDS[kind.name]  # type: ignore[attr-defined]
    mapping = default_mapping(kind)
    told = explain(mapping, kind)
    for output in mapping.outputs:
        assert output.name in told


def test_the_documented_mappings_and_palette_are_valid() -> None:
    pages = (REPOSITORY / "streamer" / "BRIDGES.md").read_text(encoding="utf-8")
    example, palette, midi = re.findall(r"```toml\n(.*?)```", pages, re.DOTALL)
    assert [output.name for output in parsed(midi, "midi").outputs] == ["filter", "drop", "scene"]
    mapping = parsed(example + palette.replace("house", "house2"))
    assert [output.name for output in mapping.outputs] == ["wash", "pan", "strobe", "gate"]
    assert set(mapping.scenes) == {"silent", "dead", "end"}


def test_the_listed_osc_addresses_are_those_that_are_sent() -> None:
    sent = {}
    for output in default_mapping(KINDS["osc"]).outputs:
        shape, where = output.shape, output.destination.describe(1)
        types = "f" * shape.parts or "s"
        scale = getattr(shape, "scale", None)
        sent[where] = (types, "", "") if scale is None else (types, *(f"{end:g}" for end in scale.to))
    rows = (REPOSITORY / "scripts" / "examples" / "osc_addresses.tsv").read_text(encoding="utf-8").splitlines()[1:]
    listed = {address: tuple(others[:3]) for address, *others in (row.split("\t") for row in rows)}
    assert listed == sent


def test_a_bridge_loads_nothing_of_the_tracker() -> None:
    program = """
import sys
sys.argv = ["moodring", "bridge", "sacn", "--check", sys.argv[1]]
from streamer.cli import main
try:
    main()
except SystemExit as ended:
    heavy = {"numpy", "torch", "onnxruntime", "soundfile", "rich", "streamer.tracker"} & set(sys.modules)
    sys.exit(str(heavy) if heavy else ended.code)
"""
    path = REPOSITORY / "streamer" / "bridges" / "defaults" / "sacn.toml"
    subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_check_explains_and_refuses_before_the_show(tmp_path: Path) -> None:
    path = tmp_path / "lights.toml"
    path.write_text(LIGHTS)
    told = subprocess.run([*MOODRING, "bridge", "sacn", "--check", path], capture_output=True, text=True, check=True)
    for wanted in (
        'follows stream "stage", sends 40 times a second',
        "emotion as a colour, palette dusk",
        "universe 2, channels 1-2 (16 bit)",
        "arousal on from 0.6, off below 0.4",
        "tracking 200, silence 10",
        "gamma 2.2",
        "up 0.5 s, down 2 s",
        "silent (no music, or no audio): wash 255/0/0/0, strobe 0, within 2 s",
    ):
        assert wanted in told.stdout
    path.write_text(LIGHTS.replace("on = 0.6", 'on = "high"'))
    refused = subprocess.run(
        [*MOODRING, "bridge", "sacn", "--check", path], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f'moodring: {path}: outputs.strobe.on = "high" is not valid; give a number')
    assert len(refused.stderr.splitlines()) == 1
