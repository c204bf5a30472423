"""What else could be installed today, on the same clips and folds as moodring's own cross-validation.

    scripts/benchmarks/peers/run --data FOLDER -o FOLDER

Makes an environment for each peer, lets it hear every clip once, fits linear maps on the training folds, writes tracks
that ``training.figures`` compares with others, and prints the peers' figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sklearn
from rich.console import Console
from rich.progress import track as progress

from model.errors import MoodringError
from scripts.benchmarks.peers.environments import MUSICNN, VIBENET, Peer, environment_python
from scripts.benchmarks.peers.fitting import tracks_of
from scripts.benchmarks.peers.hearing import Decoder, Heard, PeerExtractor, PeerProcess
from training import datasets
from training.clips import Clip
from training.feature_cache import ExtractorCache, default_folder
from training.figures.comparison import compare
from training.figures.layouts import comparison_layout, figures_json, markdown
from training.figures.measuring import SetFigures, measure
from training.files import write_whole
from training.paper.layout import Layout, Section, number
from training.tables import DataError
from training.tracks import Tracks, read_tracks, write_tracks

DATASETS = ("emotify", "4q", "vgmidi", "emopia")


@dataclass(frozen=True)
class Predictor:
    """A linear map on some of a peer's numbers.

    Attributes
    ----------
    name : str
    peer : Peer
    columns : sequence of int
        Which of them.
    """

    name: str
    peer: Peer
    columns: Sequence[int]


PREDICTORS = (
    Predictor("vibenet-energy-valence", VIBENET, (2, 6)),
    Predictor("vibenet", VIBENET, range(7)),
    Predictor("musicnn-msd", MUSICNN, range(200)),
    Predictor("musicnn-mtt", MUSICNN, range(200, 400)),
    Predictor("musicnn", MUSICNN, range(400)),
)


def some(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    """Return so many of the clips, spread evenly, or all."""
    if limit is None or limit >= len(clips):
        return list(clips)
    return [clips[i * len(clips) // limit] for i in range(limit)]


def hear(
    clips: dict[str, list[Clip]], pythons: dict[Peer, Path], folder: Path, console: Console
) -> dict[Peer, dict[str, list[Heard]]]:
    """Let every peer hear every clip, or remember what it said; give it by peer and data set."""
    heard: dict[Peer, dict[str, list[Heard]]] = {peer: {name: [] for name in clips} for peer in pythons}
    with tempfile.TemporaryDirectory(prefix="moodring-peers-") as work, contextlib.ExitStack() as stack:
        decoder = Decoder(Path(work))
        processes = {peer: stack.enter_context(PeerProcess(peer, python)) for peer, python in pythons.items()}
        caches = {peer: ExtractorCache(folder, PeerExtractor(process, decoder)) for peer, process in processes.items()}
        for name, of_set in clips.items():
            for clip in progress(of_set, f"{name} is heard", console=console):
                for peer, cache in caches.items():
                    heard[peer][name].append(Heard.of_rows(cache.load(clip.source)))
    return heard


def table(figures: dict[str, list[SetFigures]]) -> Layout:
    """Lay out the figures of predictors side by side, beside those of the best constant."""
    sections = []
    for place, one in enumerate(next(iter(figures.values()))):
        rows = []
        for i, figure in enumerate(one.figures):
            values = [results[place].figures[i].value for results in figures.values()]
            constant = "" if figure.constant is None else number(figure.constant)
            rows.append([figure.name, constant, *(number(value) for value in values)])
        sections.append(Section(one.name, rows))
    return Layout("Peers, linear maps fitted on the training folds", ["", "best constant", *figures], sections)


def run(options: argparse.Namespace) -> None:
    """Do everything.

    Raises
    ------
    MoodringError
        If something is missing or wrong.
    """
    console = Console(stderr=True)
    found = {one.name: one for one in datasets.find(options.data)[0]}
    chosen = [name for name in DATASETS if name in found and name in (options.datasets or DATASETS)]
    if not chosen:
        raise DataError(f'"{options.data}" has none of {", ".join(options.datasets or DATASETS)}')
    clips = {name: some(found[name].clips(), options.limit) for name in chosen}
    options.output.mkdir(parents=True, exist_ok=True)
    pythons = {}
    for peer in (VIBENET, MUSICNN):
        with console.status(f"the environment of {peer.name}"):
            pythons[peer] = environment_python(peer, options.cache / "environments", options.python)
    heard = hear(clips, pythons, options.cache / "numbers", console)
    figures: dict[str, list[SetFigures]] = {}
    tables: list[Layout] = []
    ours: Tracks = read_tracks(options.ours)[0] if options.ours else {}
    for predictor in PREDICTORS:
        tracks: Tracks = {}
        for name in progress(chosen, f"{predictor.name} is fitted", console=console):
            tracks[name] = tracks_of(clips[name], heard[predictor.peer][name], predictor.columns)
        notes = {
            "predictor": predictor.name,
            "requirements": predictor.peer.requirements.read_text().split(),
            "scikit-learn": sklearn.__version__,
            "limit": options.limit,
        }
        write_tracks(options.output / f"{predictor.name}.safetensors", tracks, notes)
        figures[predictor.name] = measure(tracks, clips)
        if ours:
            tables.append(comparison_layout(compare(ours, tracks, clips), options.ours.stem, predictor.name))
    tables.insert(0, table(figures))
    content = {name: figures_json(results) for name, results in figures.items()}
    write_whole(options.output / "figures.json", json.dumps(content, indent=1).encode(), "the figures")
    write_whole(options.output / "figures.md", markdown(tables).encode(), "the tables")
    # a table that is squeezed into the 80 columns of a pipe cannot be read
    output = Console() if sys.stdout.isatty() else Console(width=160)
    for one in tables:
        output.print(one.to_rich())


def main() -> None:
    """Run the benchmark."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="scripts/benchmarks/peers/run", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled music (see training/DATA.md)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for tracks, figures.json, figures.md")
    cache = default_folder() / "peers"
    parser.add_argument("--cache", type=Path, default=cache, help=f"environments and numbers (default {cache})")
    parser.add_argument("--limit", type=int, help="so many clips of each data set, spread evenly: to try it out")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, help=f"default: {' '.join(DATASETS)}")
    parser.add_argument("--ours", type=Path, help="tracks to compare the peers with, by paired bootstrap")
    parser.add_argument("--python", default="", help="makes the environments (default: python3.11 or python3.12)")
    options = parser.parse_args()
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be at least 1")
    try:
        run(options)
    except (MoodringError, OSError) as error:
        sys.exit(f"peers: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
