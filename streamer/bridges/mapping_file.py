"""Reads mappings: TOML files, of which every error is reported at once, one line each."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Tables
from importlib import resources
from pathlib import Path
from typing import Any, Final

from model.errors import MoodringError
from model.toml_text import has_parser, parse_toml
from streamer.bridges.destinations import Kind
from streamer.bridges.mapping import DEAD_AFTER, LONGEST_END, SCENES, Mapping, Output, Scene, SceneName
from streamer.bridges.palettes import ANCHORS, PALETTES, Palette, parse_colour
from streamer.bridges.shapes import LARGEST, SOURCES, number, number_pair, take_shape
from streamer.bridges.signals import Tint, Value, Words
from streamer.messages import MessageError, validate_stream_name
from streamer.service.tables import Findings, Table, one_of, seconds, show_value, text

MAXIMUM_BYTES: Final = 1 << 20
"""A larger file is not read; thousands of outputs fit."""
FASTEST: Final = 100.0
"""Updates a second at most: DMX itself carries 44 frames a second."""


class MappingError(MoodringError):
    """A mapping cannot be used.

    Attributes
    ----------
    problems : tuple of str
        One line for each thing that is wrong: file, key, value, and what would be valid.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def default_mapping(kind: Kind) -> Mapping:
    """Return a bridge's own mapping, for those who have written none."""
    file = f"{kind.name}.toml"
    content = resources.files("streamer.bridges").joinpath("defaults").joinpath(file).read_bytes()
    return parse_mapping(content, f"built-in {file}", kind)


def load_mapping(path: Path, kind: Kind) -> Mapping:
    """Read and check a mapping.

    Parameters
    ----------
    path : Path
        A TOML file.
    kind : Kind
        What it is for.

    Returns
    -------
    Mapping

    Raises
    ------
    MappingError
        If it cannot be read, or anything in it is not valid.
    """
    try:
        with path.open("rb") as opened:
            content = opened.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MappingError([f"{path}: cannot be read: {reason}"]) from error
    if len(content) > MAXIMUM_BYTES:
        raise MappingError([f"{path}: is larger than {MAXIMUM_BYTES} bytes, and not a mapping"])
    return parse_mapping(content, str(path), kind)


def parse_mapping(content: bytes, file: str, kind: Kind) -> Mapping:
    """Check a mapping.

    Parameters
    ----------
    content : bytes
        TOML in UTF-8.
    file : str
        What messages call it.
    kind : Kind
        What it is for.

    Returns
    -------
    Mapping

    Raises
    ------
    MappingError
        If anything in it is not valid.
    """
    if not has_parser():
        raise MappingError([f'reading TOML on Python 3.10 needs tomli: pip install "moodring[{kind.name}]"'])
    try:
        tables = parse_toml(content)
    except UnicodeDecodeError as error:
        raise MappingError([f"{file}: is not TOML: byte {error.start} is not UTF-8"]) from error
    except ValueError as error:
        reason = show_value(str(error)).strip('"')
        raise MappingError([f"{file}: is not TOML: {reason}"]) from error
    findings = Findings(file)
    mapping = _mapping(Table(findings, tables), tables, file, kind)
    if findings.problems:
        raise MappingError(findings.problems)
    return mapping


def _mapping(root: Table, content: Tables[str, Any], file: str, kind: Kind) -> Mapping:
    stream = root.take("stream", _stream, 'the name of a stream: 1 to 100 letters, digits, ".", "_" and "-"', None)
    fewest = 1.0 if kind.rate else 0.0
    valid = f"updates a second, from {fewest:g} to {FASTEST:g}" + (
        "" if kind.rate else "; 0 for none between estimates"
    )
    rate = root.take("rate", number(fewest, FASTEST), valid, kind.rate)
    palettes = dict(PALETTES)
    if "palettes" in root:
        for name, table in root.tables("palettes", "a table [palettes.NAME]").items():
            palettes[name] = _palette(name, table)
    else:
        root.table("palettes")
    outputs: list[Output] = []
    for name, table in root.tables("outputs", "at least one output: a table [outputs.NAME]").items():
        output = _output(name, table, kind, palettes, rate)
        if output is not None:
            outputs.append(output)
    named = content.get("outputs")
    scenes = _scenes(root.table("scenes"), kind, outputs, set(named) if isinstance(named, dict) else set(), rate)
    root.finish("a mapping")
    return Mapping(file, stream, rate, tuple(outputs), scenes)


def _output(name: str, table: Table, kind: Kind, palettes: dict[str, Palette], rate: float) -> Output | None:
    valid = f"one of {', '.join(SOURCES)}"
    table.require("source", valid)
    source = table.take("source", one_of(*SOURCES), valid, None)
    if source is None:
        return None
    shape = take_shape(table, source, kind, palettes)
    glides = shape is None or not isinstance(shape, Words)
    times = {
        key: table.take(key, seconds, "seconds, such as 0.5", 0.0) if glides else 0.0 for key in ("attack", "release")
    }
    for key, time in times.items():
        if time > 0 and rate == 0:
            table.complain(key, "needs updates between estimates; give rate, such as rate = 25, at the top of the file")
    destination = kind.destination(table, name, 1 if shape is None else shape.parts)
    table.finish(f"an output with the source {source} for {kind.name}")
    if shape is None or destination is None:
        return None
    return Output(name, source, shape, destination, times["attack"], times["release"])


def _scenes(table: Table, kind: Kind, outputs: list[Output], named: set[str], rate: float) -> dict[SceneName, Scene]:
    scenes: dict[SceneName, Scene] = {}
    for name in SCENES:
        scene = table.table(name)
        if name not in table:
            continue
        longest = LONGEST_END if name == "end" else LARGEST
        valid = f"seconds from 0 to {longest:g}, such as {min(longest, 2):g}"
        fade = scene.take("fade", number(0, longest), valid, 0.0)
        if fade > 0 and rate == 0:
            scene.complain(
                "fade", "needs updates between estimates; give rate, such as rate = 25, at the top of the file"
            )
        shown = scene.table("outputs")
        values: dict[str, Value] = {}
        for output in outputs:
            value = shown.take(output.name, _scene_value(output, kind), _valid_scene_value(output, kind), None)
            if value is not None:
                values[output.name] = value
        for other in named - {output.name for output in outputs}:
            shown.take(other, lambda value: value, "", None)  # its own table says what is wrong
        shown.finish(f"the outputs of scene {name}")
        scene.finish(f"scene {name}")
        scenes[name] = Scene(fade, values)
    table.finish(f"the scenes, which are silent (no music), dead (no tracker for {DEAD_AFTER:g} s) and end")
    return scenes


def _valid_scene_value(output: Output, kind: Kind) -> str:
    if isinstance(output.shape, Words):
        return "a text"
    if isinstance(output.shape, Tint):
        return 'a colour such as "#ff8800", which is changed as the palette\'s are'
    low, high = kind.range or (-LARGEST, LARGEST)
    return f"a number from {low:g} to {high:g}, as it is sent"


def _scene_value(output: Output, kind: Kind) -> Callable[[Any], Value]:
    shape = output.shape
    if isinstance(shape, Words):
        return text
    if isinstance(shape, Tint):
        return lambda value: shape.of(parse_colour(value))
    accept = number(*(kind.range or (-LARGEST, LARGEST)))
    return lambda value: (accept(value),)


def _palette(name: str, table: Table) -> Palette:
    model = PALETTES["vivid"]
    valid = f'{ANCHORS} colours such as "#ff8800", counter-clockwise from pleasant: pleasant, excited, aroused, ' + (
        "tense, unpleasant, sad, sleepy, calm"
    )
    table.require("colours", valid)
    anchors = table.take("colours", _colours, valid, model.anchors)
    neutral = table.take("neutral", parse_colour, 'a colour such as "#ffe0c0"', model.neutral)
    brightness = table.take(
        "brightness", number_pair(0, 1), "two numbers from 0 to 1, calm and excited", model.brightness
    )
    table.finish("a palette")
    return Palette(name, anchors, neutral, brightness)


def _colours(value: Any) -> tuple[tuple[float, float, float], ...]:
    if not isinstance(value, list) or len(value) != ANCHORS:
        raise ValueError
    return tuple(parse_colour(each) for each in value)


def _stream(value: Any) -> str:
    try:
        return validate_stream_name(text(value))
    except MessageError as error:
        raise ValueError from error
