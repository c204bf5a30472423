"""Draw the picture of the live view for the README: the demo piece, tracked by the bundled model.

python scripts/draw_live_view.py [OUTPUT]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import torch
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from model.checkpoint import load_checkpoint
from streamer.composer import SECTIONS, compose
from streamer.framer import Framer
from streamer.messages import DEFAULT_ENDPOINT
from streamer.offline import track
from streamer.samples import Samples
from streamer.view import LiveView

SAMPLE_RATE = 44100
DARK = TerminalTheme((24, 26, 31), (222, 224, 230), [(90, 94, 104)] * 8, [(222, 224, 230)] * 8)
LIGHT = TerminalTheme((255, 255, 255), (40, 42, 48), [(90, 94, 104)] * 8, [(40, 42, 48)] * 8)
"""The view names its own colours; themes only give the ground and the plain text."""


def draw(section: str, width: int, height: int, theme: TerminalTheme) -> str:
    """Return the live view at the end of a section of the demo piece.

    Parameters
    ----------
    section : str
        Name of one of the piece's sections.
    width, height : int
        Size of the terminal in cells.
    theme : TerminalTheme
        Its colours.

    Returns
    -------
    str
        SVG.
    """
    torch.set_num_threads(1)  # on a busy machine more threads only wait for each other
    checkpoint = load_checkpoint()
    parameters = checkpoint.frontend.parameters
    end = next(candidate.end for candidate in SECTIONS if candidate.name == section)
    source = Samples("the demo piece", compose(SAMPLE_RATE)[: round(end * SAMPLE_RATE)], SAMPLE_RATE)
    view = LiveView(DEFAULT_ENDPOINT, window_seconds=checkpoint.window * parameters.frame_duration)
    for estimate in track(source, Framer(SAMPLE_RATE, parameters), checkpoint, "demo"):
        view.show(estimate)
    console = Console(
        record=True, file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor"
    )
    console.print(view)
    return console.export_svg(title="moodring demo", theme=theme)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description="Draw the live view at the end of a section of the demo piece, as SVG."
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("streamer/live_view.svg"))
    parser.add_argument("--section", choices=[section.name for section in SECTIONS], default=SECTIONS[-1].name)
    parser.add_argument("--width", type=int, default=110, help="cells (%(default)s)")
    parser.add_argument("--height", type=int, default=31, help="cells (%(default)s)")
    parser.add_argument("--light", action="store_true", help="dark text on white")
    arguments = parser.parse_args()
    theme = LIGHT if arguments.light else DARK
    arguments.output.write_text(draw(arguments.section, arguments.width, arguments.height, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
