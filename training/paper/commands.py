"""The commands `moodring reproduce` and `moodring search`. Importing this module is cheap; running a command is not."""

from __future__ import annotations

from pathlib import Path

import click

from training import options
from training.paper.names import FEATURES, TABLES


@click.command()
@options.DATA
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("reproduction"),
    show_default=True,
    help="Folder for the tables, the plots and the runs.",
)
@click.option(
    "--table", type=click.Choice(TABLES), default="all", show_default=True, help="Which of the paper's tables."
)
@click.option(
    "--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Initialisations of every system."
)
@click.option(
    "--features",
    type=click.Choice(FEATURES),
    default="opensmile",
    show_default=True,
    help="What the systems of table 2 are trained on.",
)
@options.SEED
@options.EPOCHS
@options.CONFIG
@options.material_options
def reproduce(
    material: options.MaterialOptions,
    folder: Path,
    output: Path,
    table: str,
    runs: int,
    features: str,
    seed: int,
    epochs: int | None,
    config: Path | None,
) -> None:
    """Train what the paper's tables show, and print them with the paper's figures beside ours.

    It may be interrupted at any time: what is finished in the output folder is not done again, and what was being
    trained goes on from its last epoch. Without audio, the tables hold the paper's figures, the mean predictor and the
    song-mean oracle.

    \b
    Examples:
      moodring reproduce --data DEAM
      moodring reproduce --data DEAM --table 1b --runs 1
      moodring reproduce --data FOLDER/vgmidi -o out --table 2
    """
    from training.paper.configuration import choose
    from training.paper.reproduce import reproduce as run
    from training.paper.running import make_request

    choices = choose(config, epochs=epochs)
    request = make_request(folder, **vars(material))
    run(request, output, table, runs, seed, choices, features)


@click.command()
@options.DATA
@click.option(
    "--study",
    required=True,
    type=click.Path(path_type=Path),
    help="SQLite file of the search; if it is there, the search goes on.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="TOML file for the best configuration, as `moodring train --config` takes it.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Configurations to try in all, those of an earlier start included.",
)
@options.FEATURES_OPTION
@options.SEQUENCE_LENGTH
@options.EPOCHS
@options.CONFIG
@options.SEED
@options.material_options
def search(
    material: options.MaterialOptions,
    folder: Path,
    study: Path,
    output: Path,
    trials: int,
    features: str | None,
    sequence_length: int | None,
    epochs: int | None,
    config: Path | None,
    seed: int,
) -> None:
    """Search the CRNN's hyperparameters as the paper's section 3.5 does, on development songs alone.

    1 to 3 layers each of convolution, linear layer and GRU, their units, dropout, L1, L2 and the batch size. What
    --config or an option sets is not searched. The search may be interrupted at any time and goes on with the same
    command.

    \b
    Example:
      moodring search --data DEAM --study search.db -o best.toml --trials 100
      moodring train --data DEAM -o best.safetensors --config best.toml
    """
    from training.paper.configuration import choose
    from training.paper.running import make_request
    from training.paper.search import search as run

    choices = choose(config, features=features, sequence_length=sequence_length, epochs=epochs)
    request = make_request(folder, **vars(material))
    run(request, study, output, trials, seed, choices)
