"""A report as one self-contained HTML page: it asks nobody for anything, and reads without its script as well."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template

from streamer.report import fragments
from streamer.report.curve import Hearing
from streamer.report.data import cursor_data
from streamer.report.drawings import curve_svg, plane_svg, ramp, waveform_svg
from streamer.report.explanations import explanations, notes
from streamer.report.sections import Section
from streamer.report.summary import Summary, in_words
from streamer.report.wording import minus, time_text


def make_page(name: str, hearing: Hearing, summary: Summary, sections: Sequence[Section]) -> str:
    """Make the page.

    Parameters
    ----------
    name : str
        What the file is called.
    hearing : Hearing
        What was heard of it.
    summary : Summary
        The same in numbers.
    sections : sequence of Section
        Of it.

    Returns
    -------
    str
        HTML.
    """
    curve = hearing.curve
    duration = max(hearing.duration, curve.step)
    script = _part("report.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    words = [minus(sentence) for sentence in in_words(summary, sections)]
    return Template(_part("report.html")).substitute(
        script_hash=f"'sha256-{digest}'",
        style=_part("style.css"),
        script=script,
        name=escape(name),
        about=escape(f"{time_text(hearing.duration)} · model “{hearing.model}” · moodring {version('moodring')}"),
        notes="".join(f'<p class="note">{escape(note)}</p>' for note in notes(hearing)),
        mood=escape(summary.word),
        mood_colour=fragments.colour_of(*summary.means),
        words=fragments.paragraphs(words),
        numbers=fragments.numbers(summary, sections),
        curves_label=escape(" ".join(words)),
        strip=fragments.strip(sections, duration),
        waveform=waveform_svg(hearing.waveform),
        valence=curve_svg(curve, curve.valence, curve.valence_std, sections, duration, "valence"),
        arousal=curve_svg(curve, curve.arousal, curve.arousal_std, sections, duration, "arousal"),
        marks=fragments.marks(duration),
        last_point=len(curve.valence) - 1,
        key=fragments.key(summary, sections),
        plane=plane_svg(curve, sections, f"The path of the music on the plane. {words[0]}"),
        ramp=f"linear-gradient(to right, {', '.join(ramp(share / 6) for share in range(7))})",
        end=time_text(hearing.duration),
        plane_key=fragments.plane_key(summary, sections),
        quadrants=fragments.quadrants(summary),
        only_music="" if summary.valence else "hidden ",
        many=fragments.scrolled(sections),
        rows=fragments.rows(sections),
        reading=fragments.paragraphs(explanations(hearing, summary)),
        data=cursor_data(curve, sections, duration),
    )


def _part(name: str) -> str:
    return files("streamer.report").joinpath("page").joinpath(name).read_text(encoding="utf-8")
