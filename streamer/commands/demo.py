"""``moodring demo``: see it work without any audio of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.errors import MoodringError
from streamer.commands.options import LiveOptions, live_options

if TYPE_CHECKING:
    from model.features import FloatArray
    from streamer.messages import Estimate

_SAMPLE_RATE = 44100
_SETTLED = 5.0
"""Seconds at a section's end over which its summary is taken: by then the window holds little of what was before."""


@click.command()
@click.option("--fast", is_flag=True, help="As fast as it goes, instead of in real time.")
@click.option("--save", metavar="FILE", type=click.Path(), help="Write the piece to a .wav or .flac file as well.")
@live_options
def demo(live: LiveOptions, fast: bool, save: str | None) -> None:
    """Compose a one-minute piece, track it, and publish what is estimated.

    The piece has four sections, a mood in each corner of the valence-arousal plane. At the end a table compares what
    each was written for with what was heard.

    \b
    Examples:
      moodring demo
      moodring demo --save demo.wav && moodring stream demo.wav
    """
    from streamer.commands.live import run_live
    from streamer.composer import compose
    from streamer.samples import Samples

    piece = compose(_SAMPLE_RATE)
    if save is not None:
        _save(save, piece)
    estimates: list[Estimate] = []
    run_live(live, lambda: Samples("the demo piece", piece, _SAMPLE_RATE), "demo", not fast, estimates.append)
    if estimates and not (live.quiet or live.json):
        _summarise(estimates)


def _save(path: str, piece: FloatArray) -> None:
    import soundfile

    try:
        place = Path(path)
        temporary = place.with_name(f".{place.stem}.{os.getpid()}.part{place.suffix}")  # its ending chooses the format
        try:
            soundfile.write(temporary, piece, _SAMPLE_RATE)
            if soundfile.info(temporary).frames != len(piece):
                raise OSError("the disk is full")  # which libsndfile may not say
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
    except (soundfile.LibsndfileError, AssertionError, OSError, TypeError, ValueError) as error:
        raise MoodringError(
            f'cannot write "{path}": name a .wav or .flac file in an existing folder, on a disk with room for it'
        ) from error


def _summarise(estimates: list[Estimate]) -> None:
    from rich.console import Console
    from rich.table import Table

    from streamer.circumplex import mood_word
    from streamer.composer import SECTIONS

    table = Table(title="What each section was written for, and what was heard at its end", title_justify="left")
    for heading in ("section", "written for", "heard", "valence", "arousal"):
        table.add_column(heading, justify="right" if heading in ("valence", "arousal") else "left")
    for section in SECTIONS:
        heard = [
            (estimate.valence, estimate.arousal)
            for estimate in estimates
            if section.end - _SETTLED < estimate.position <= section.end
            and estimate.valence is not None
            and estimate.arousal is not None
        ]
        if not heard:
            continue
        valence, arousal = (sum(values) / len(heard) for values in zip(*heard, strict=True))
        written = f"{'+' if section.valence > 0 else '−'}valence {'+' if section.arousal > 0 else '−'}arousal"
        table.add_row(section.name, written, mood_word(valence, arousal), f"{valence:+.2f}", f"{arousal:+.2f}")
    Console().print(table)
