"""``moodring export``: a model as one file for machines without torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from model.errors import MoodringError


@click.command()
@click.argument("model", default="default")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx"]),
    default="onnx",
    show_default=True,
    help="What to write.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.onnx",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to; an existing file is replaced.",
)
def export(model: str, file_format: str, output: Path) -> None:
    """Write MODEL, a checkpoint that `moodring train` made or the bundled default, as one ONNX file.

    It holds all that tracking needs: the network and its ear, the filterbanks, and what the checkpoint says of itself.
    ONNX Runtime computes it, with the same estimates, in an install without torch.

    \b
    Examples:
      moodring export mine.safetensors -o mine.onnx
      moodring stream song.mp3 --model mine.onnx
    """
    if output.suffix.lower() != ".onnx":
        raise click.BadParameter("name a file that ends in .onnx", param_hint="--output")
    for package in ("torch", "onnx"):
        if find_spec(package) is None:
            raise MoodringError(f'moodring export needs {package}: pip install "moodring[export]"')
    from model.checkpoint import load_checkpoint
    from model.onnx_export import export_onnx

    export_onnx(load_checkpoint(model), output)
    click.echo(f"{output}   for listen, stream, annotate and demo: --model {output}")
