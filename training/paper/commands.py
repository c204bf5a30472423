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
@options.split_options
@options.CACHE
@options.SOUND_FONT
@options.JOBS
def reproduce(
    folder: Path,
    output: Path,
    table: str,
    runs: int,
    features: str,
    seed: int,
    epochs: int | None,
    config: Path | None,
    split_name: str,
    development_ids: Path | None,
    evaluation_ids: Path | None,
    skip_bad: bool,
    cache: Path | None,
    sound_font: Path | None,
    jobs: int,
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
    from training.paper.configuration import read_toml
    from training.paper.reproduce import reproduce as run
    from training.paper.running import make_request

    choices = read_toml(config) if config else {}
    if epochs is not None:
        choices["epochs"] = epochs
    request = make_request(folder, split_name, development_ids, evaluation_ids, skip_bad, cache, sound_font, jobs)
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
@options.split_options
@options.CACHE
@options.SOUND_FONT
@options.JOBS
def search(
    folder: Path,
    study: Path,
    output: Path,
    trials: int,
    features: str | None,
    sequence_length: int | None,
    epochs: int | None,
    config: Path | None,
    seed: int,
    split_name: str,
    development_ids: Path | None,
    evaluation_ids: Path | None,
    skip_bad: bool,
    cache: Path | None,
    sound_font: Path | None,
    jobs: int,
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
    from training.paper.configuration import read_toml
    from training.paper.running import make_request
    from training.paper.search import search as run

    given = {"features": features, "sequence_length": sequence_length, "epochs": epochs}
    choices = (read_toml(config) if config else {}) | {key: value for key, value in given.items() if value is not None}
    request = make_request(folder, split_name, development_ids, evaluation_ids, skip_bad, cache, sound_font, jobs)
    run(request, study, output, trials, seed, choices)
