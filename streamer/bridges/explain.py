"""Says in words what a mapping does."""

from __future__ import annotations

from streamer.bridges.destinations import Kind
from streamer.bridges.mapping import DEAD_AFTER, SCENES, Mapping, Output
from streamer.bridges.signals import Level, Lookup, Scale, Switch, Tint, Value

_WHEN = {
    "silent": "no music, or no audio",
    "dead": f"nothing from the tracker for {DEAD_AFTER:g} s, or its stream has ended",
    "end": "this bridge is ended",
}


def explain(mapping: Mapping, kind: Kind) -> str:
    """Describe a mapping.

    Parameters
    ----------
    mapping : Mapping
        What goes where.
    kind : Kind
        What it is for.

    Returns
    -------
    str
        A table of the outputs, and a line for each scene.
    """
    rows = [("output", "shows", "as", "at", "smoothed"), *(_row(output) for output in mapping.outputs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    stream = "the first stream that is heard" if mapping.stream is None else f'stream "{mapping.stream}"'
    rate = f"{mapping.rate:g} times a second, and at once on each estimate" if mapping.rate else "on each estimate"
    return "\n".join(
        [
            f"{mapping.file}: for {kind.name}, follows {stream}, sends {rate}",
            "",
            *table,
            "",
            *(f"{name} ({_WHEN[name]}): {_scene(mapping, name)}" for name in SCENES),
        ]
    )


def _row(output: Output) -> tuple[str, str, str, str, str]:
    shows, becomes = _words(output)
    times = [f"{word} {time:g} s" for word, time in (("up", output.attack), ("down", output.release)) if time]
    return output.name, shows, becomes, output.destination.describe(output.shape.parts), ", ".join(times) or "no"


def _words(output: Output) -> tuple[str, str]:
    source, shape = output.source, output.shape
    if isinstance(shape, Level):
        low, high = shape.from_range
        return f"{source} {low:g} to {high:g}", _scale(shape.scale)
    if isinstance(shape, Switch):
        off, on = shape.to
        return f"{source} on from {shape.on:g}, off below {shape.off:g}", f"off {off:g}, on {on:g}"
    if isinstance(shape, Tint):
        return f"{source} as a colour, palette {shape.palette.name}", f"{shape.layout}, each {_scale(shape.scale)}"
    if isinstance(shape, Lookup):
        return source, ", ".join(f"{state} {value:g}" for state, value in shape.values.items())
    return source, "text"


def _scale(scale: Scale) -> str:
    low, high = scale.to
    return f"{low:g} to {high:g}" + ("" if scale.gamma == 1 else f", gamma {scale.gamma:g}")


def _scene(mapping: Mapping, name: str) -> str:
    for key, scene in mapping.scenes.items():
        if key == name and scene.values:
            shown = ", ".join(f"{output} {_value(value)}" for output, value in scene.values.items())
            return f"{shown}, within {scene.fade:g} s" if scene.fade else f"{shown}, at once"
    return "everything stays as it is"


def _value(value: Value) -> str:
    return value if isinstance(value, str) else "/".join(f"{part:.4g}" for part in value)
