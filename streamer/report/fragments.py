"""The parts of the page that are made of text: numbers, the strip of sections, axes, keys, and the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from streamer.circumplex import octant_at
from streamer.panels import signed
from streamer.plane import mood_colour
from streamer.report.drawings import MOST_DRAWN, MOST_NUMBERED
from streamer.report.sections import SILENCE, Section
from streamer.report.summary import Moment, Range, Summary
from streamer.report.wording import decibels, minus, percent, time_marks, time_text

QUADRANTS: Final = (
    ("Joyful", "pleasant and excited", (1.0, 1.0)),
    ("Tense", "unpleasant and excited", (-1.0, 1.0)),
    ("Sad", "unpleasant and calm", (-1.0, -1.0)),
    ("Calm", "pleasant and calm", (1.0, -1.0)),
)
"""In the order of `streamer.report.summary.EXTREMES`: a title, what it means, and its corner of the plane."""
_AS_ON_THE_PLANE: Final = (1, 0, 2, 3)
_MOST_MARKS: Final = 13
_COARSE: Final = 3
"""On a narrow page, one mark of so many stays."""
_MOST_ROWS: Final = 40
"""Sections that the table shows without being scrolled."""
_NARROWEST_NAMED: Final = 0.01
"""Share of the width from which on a section's number and word are on the strip, if the page then has room for them."""


def colour_of(valence: float | None, arousal: float | None) -> str:
    """Return the colour of a mood as ``#rrggbb``; grey for silence."""
    return mood_colour(None if valence is None or arousal is None else octant_at(valence, arousal))


def paragraphs(texts: Iterable[str]) -> str:
    """Return plain text as paragraphs."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def numbers(summary: Summary, sections: Sequence[Section]) -> str:
    """Return the summary's numbers as terms and descriptions."""
    entries = [("Length", time_text(summary.duration), "")]
    for name, values in (("Valence", summary.valence), ("Arousal", summary.arousal)):
        entries.append((name, "–" if values is None else minus(signed(values.mean)), _span(values)))
    entries.append(("Loudness", decibels(summary.loudness), f"peak {decibels(summary.peak)}"))
    music = summary.duration - summary.silence
    entries.append(("Music", time_text(music), f"warming up {time_text(summary.warming)}"))
    entries.append(("Silence", time_text(summary.silence), percent(summary.silence / max(summary.duration, 1e-9))))
    entries.append(("Sections", str(len(sections)), ""))
    return "".join(
        f'<div class="{name.lower()}"><dt>{name}</dt><dd>{value}{f"<small>{more}</small>" if more else ""}</dd></div>'
        for name, value, more in entries
    )


def strip(sections: Sequence[Section], duration: float) -> str:
    """Return the sections as blocks along the axis of time."""
    blocks = []
    for number, section in enumerate(sections, 1):
        share = (section.end - section.start) / duration
        text = f'<b>{number}</b><span class="word">{section.word}</span>' if share >= _NARROWEST_NAMED else ""
        place = f"left: {section.start / duration:.3%}; width: {share:.3%}"
        colour = f"--mood: {colour_of(section.valence, section.arousal)}"
        title = f"{number}: {section.word}, {time_text(section.start)} to {time_text(section.end)}"
        blocks.append(f'<div style="{place}; {colour}" title="{title}">{text}</div>')
    return "".join(blocks)


def marks(duration: float) -> str:
    """Return the marks of the axis of time; those of class ``fine`` are left out on narrow pages."""
    times = time_marks(duration, _MOST_MARKS)
    coarse = _COARSE if len(times) > _MOST_MARKS // 2 else 1
    shown = []
    for number, time in enumerate(times):
        place = "first " if not number else "last " if time / duration > 0.97 else ""
        kind = f"{place}{'fine' if number % coarse else ''}".strip()
        shown.append(
            f"<span{f' class={chr(34)}{kind}{chr(34)}' if kind else ''} "
            f'style="left: {time / duration:.3%}">{time_text(time)}</span>'
        )
    return "".join(shown)


def key(summary: Summary, sections: Sequence[Section]) -> str:
    """Return what the shades of the curves mean, those that occur."""
    entries = []
    if summary.valence is not None and summary.valence.std is not None:
        entries.append(("band", "where two thirds of listeners’ ratings lie"))
    if summary.valence is not None and len(sections) <= MOST_DRAWN:
        entries.append(("mean", "mean of a section"))
    if summary.warming:
        entries.append(("warming", "warming up"))
    if summary.silence:
        entries.append(("silence", "silence"))
    return "".join(f'<span><i class="swatch {kind}"></i>{text}</span> ' for kind, text in entries)


def plane_key(summary: Summary, sections: Sequence[Section]) -> str:
    """Return how to read the plane."""
    if summary.valence is None:
        return "Nothing but silence: there is no path."
    discs = ""
    if len(sections) <= MOST_DRAWN:
        discs = "numbers mark" if len(sections) <= MOST_NUMBERED else "rings mark"
        discs = f" {discs} the means of the sections;"
    return f"The line is the path of the music, coloured by time;{discs} the dot is the moment chosen above."


def quadrants(summary: Summary) -> str:
    """Return the share of each quadrant and its furthest moment, arranged as on the plane."""
    items = []
    for number in _AS_ON_THE_PLANE:
        (title, meaning, corner), share = QUADRANTS[number], summary.quadrants[number]
        style = f"--share: {share:.1%}; --mood: {colour_of(*corner)}"
        items.append(
            f'<li style="{style}"><p><b>{title}</b> <span class="soft">{meaning}</span></p>'
            f"<strong>{percent(share)}</strong>{_moment(summary.moments[number])}</li>"
        )
    return "".join(items)


def scrolled(sections: Sequence[Section]) -> str:
    """Return the attributes of what holds the table: of many sections, it scrolls by itself."""
    if len(sections) <= _MOST_ROWS:
        return ""
    return ' class="many" tabindex="0" role="region" aria-label="Table of the sections"'


def rows(sections: Sequence[Section]) -> str:
    """Return the table's rows."""
    return "".join(_row(number, section) for number, section in enumerate(sections, 1))


def _row(number: int, section: Section) -> str:
    valence, arousal = ("–" if value is None else minus(signed(value)) for value in (section.valence, section.arousal))
    colour = colour_of(section.valence, section.arousal)
    times = f"{time_text(section.start)} – {time_text(section.end)}"
    loudness = decibels(section.loudness) if section.word != SILENCE or section.loudness > -70 else "–"
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{number}</th>'
        f'<td role="cell"><button type="button" data-time="{section.start:g}" disabled>{times}</button></td>'
        f'<td role="cell" class="mood-word" style="--mood: {colour}">{escape(section.word)}</td>'
        f'<td role="cell" class="valence-of" data-name="valence">{valence}</td>'
        f'<td role="cell" data-name="arousal">{arousal}</td>'
        f'<td role="cell" class="loudness-of" data-name="loudness">{loudness}</td></tr>'
    )


def _moment(moment: Moment) -> str:
    if moment.time is None or moment.valence is None or moment.arousal is None:
        return '<p class="moment soft">never</p>'
    where = minus(f"valence {signed(moment.valence)}, arousal {signed(moment.arousal)}")
    button = f'<button type="button" data-time="{moment.time:g}" disabled>{time_text(moment.time)}</button>'
    return f'<p class="moment">{moment.name} at {button} <span class="soft">{where}</span></p>'


def _span(values: Range | None) -> str:
    if values is None:
        return ""
    spread = "" if values.std is None else f"<br>uncertainty ± {values.std:.2f}"
    return f"{minus(signed(values.least))} to {minus(signed(values.greatest))}{spread}"
