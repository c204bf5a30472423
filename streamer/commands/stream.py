"""``moodring stream``: a file or a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streamer.commands.options import LiveOptions, live_options


@click.command()
@click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.option("--fast", is_flag=True, help="As fast as it goes, instead of in real time.")
@click.option(
    "--sample-rate", type=int, default=44100, show_default=True, metavar="HZ", help="Of a pipe: samples per second."
)
@click.option("--channels", type=int, default=2, show_default=True, help="Of a pipe: interleaved channels.")
@click.option(
    "--format",
    "sample_format",
    type=click.Choice(["s16le", "s24le", "s32le", "f32le"]),
    default="s16le",
    show_default=True,
    help="Of a pipe: raw PCM samples, little-endian, by ffmpeg's names.",
)
@live_options
def stream(live: LiveOptions, file: str, fast: bool, sample_rate: int, channels: int, sample_format: str) -> None:
    """Track a file, or raw PCM on standard input (-), in real time, and publish what is estimated.

    Nothing is played: the file's clock runs as if it were.

    \b
    Examples:
      moodring stream song.mp3
      moodring stream film.mkv               needs: pip install "moodring[formats]"
      moodring stream song.flac --fast --json | jq .valence
      ffmpeg -i http://example.org/radio -f s16le -ac 2 -ar 44100 - | moodring stream - --stream radio
      arecord -f S16_LE -r 48000 -c 1 | moodring stream - --sample-rate 48000 --channels 1
    """
    from streamer.commands.live import run_live
    from streamer.opening import open_file
    from streamer.pipe import Pipe

    if file == "-":
        run_live(live, lambda: Pipe(sys.stdin.buffer, sample_rate, channels, sample_format), "pipe", not fast)
    else:
        source = open_file(file)
        run_live(live, lambda: source, Path(file).stem, not fast)
