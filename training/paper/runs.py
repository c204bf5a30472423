"""One training of one system with its figures, kept on disk, so that a series can be interrupted at any time."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from training.arrays import read_floats
from training.paper.configuration import Configuration
from training.paper.fitting import Epoch
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.results import RunResult, read_run, write_run
from training.paper.scores import score
from training.paper.songs import Division, FloatArray, Song, hold_out, songs_digest
from training.paper.systems import Told, TrainedSystem, train_system
from training.tables import DataError


@dataclass(frozen=True)
class Run:
    """A training to be done.

    Attributes
    ----------
    configuration : Configuration
    seed : int
    """

    configuration: Configuration
    seed: int

    @property
    def sequence_length(self) -> int | None:
        """Frames; None where a system has several."""
        return self.configuration.sequence_length if self.configuration.system in ("crnn", "crnn-nb") else None

    @property
    def title(self) -> str:
        """What people call it."""
        c = self.configuration
        length = f", {self.sequence_length} frames" if self.sequence_length else ""
        return f"{c.system}, {c.features}{length}, seed {self.seed}"

    def stem(self, songs_hash: str) -> str:
        """Return the name of its files: another configuration or other songs give another name."""
        c = self.configuration
        content = json.dumps([c.to_json(), songs_hash], sort_keys=True).encode()
        length = f"-{self.sequence_length}" if self.sequence_length else ""
        return f"{c.system}-{c.features}{length}-seed{self.seed}-{hashlib.sha256(content).hexdigest()[:8]}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to: its figures, and what it says of the evaluation and of the held-out validation songs."""

    run: Run
    result: RunResult
    estimates: list[FloatArray]
    validation: list[FloatArray]


def hash_songs(division: Division) -> str:
    """Return a hash, in hexadecimal, of all names, inputs and labels, and of who is in which part."""
    parts = [songs_digest(division.development), songs_digest(division.evaluation)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def perform(
    run: Run, division: Division, songs_hash: str, folder: Path, told: Told = lambda part, epoch: None
) -> Outcome:
    """Do a run, or go on with it where it was interrupted, or read it if it has been done.

    Parameters
    ----------
    run : Run
    division : Division
    songs_hash : str
        See `hash_songs`.
    folder : Path
        Where its files are.
    told : callable
        See `training.paper.systems.Told`.

    Returns
    -------
    Outcome

    Raises
    ------
    DataError
        If it cannot be trained, or its files cannot be read or written.
    """
    stem = run.stem(songs_hash)
    kept = read_outcome(run, division, folder / stem)
    if kept is not None:
        return kept
    composed = _compose(run, division, songs_hash, folder)
    if composed is not None:
        _write_outcome(composed, folder / stem)
        return composed
    torch.set_num_threads(1)
    state = folder / f"{stem}.state"
    seconds = _SecondsSpent(state / "seconds.json")

    def tell(part: str, epoch: Epoch) -> None:
        seconds.note()
        told(part, epoch)

    system = train_system(run.configuration, division.development, run.seed, state, resume=True, told=tell)
    estimates = system.estimate(division.evaluation)
    outcome = Outcome(run, summarise(run, system, division, estimates, seconds.spent), estimates, system.validation)
    _write_outcome(outcome, folder / stem)
    shutil.rmtree(state, ignore_errors=True)
    return outcome


def summarise(
    run: Run, system: TrainedSystem, division: Division, estimates: Sequence[FloatArray], seconds: float
) -> RunResult:
    """Return a trained system's figures, given its estimates of the evaluation songs."""
    development = {song.name: song for song in division.development}
    return RunResult(
        run.configuration.system,
        run.configuration.features,
        run.sequence_length,
        run.seed,
        system.parameter_count,
        sum(len(epochs) for epochs in system.epochs.values()),
        round(seconds, 1),
        score([development[name].labels for name in system.validation_songs], system.validation),
        score([song.labels for song in division.evaluation], estimates),
    )


def read_outcome(run: Run, division: Division, stem: Path) -> Outcome | None:
    """Read a run that has been done; None if it has not.

    Raises
    ------
    DataError
        If its files cannot be read or hold something else.
    """
    figures, curves = _paths(stem)
    if not figures.is_file() or not curves.is_file():
        return None
    lengths = [len(song.labels) for song in [*division.evaluation, *_validation_songs(run, division)]]
    try:
        rows = read_floats(curves, 2)
    except (OSError, ValueError) as error:
        raise DataError(f'cannot read "{curves}": remove it to do the run again') from error
    if len(rows) != sum(lengths):
        raise DataError(f'"{curves}" does not fit the songs: remove it to do the run again')
    estimates = np.split(rows, np.cumsum(lengths)[:-1])
    count = len(division.evaluation)
    return Outcome(run, read_run(figures), estimates[:count], estimates[count:])


def _compose(run: Run, division: Division, songs_hash: str, folder: Path) -> Outcome | None:
    """Make an ensemble's outcome of those of its members, where these have been trained alone already."""
    if run.configuration.system != "ensemble":
        return None
    members = []
    for length in SEQUENCE_LENGTHS:
        alone = Run(replace(run.configuration, system="crnn", sequence_length=length), run.seed)
        member = read_outcome(alone, division, folder / alone.stem(songs_hash))
        if member is None:
            return None
        members.append(member)
    estimates = _means([member.estimates for member in members])
    validation = _means([member.validation for member in members])
    result = replace(
        members[0].result,
        system=run.configuration.system,
        sequence_length=None,
        parameter_count=sum(member.result.parameter_count for member in members),
        epochs=sum(member.result.epochs for member in members),
        seconds=round(sum(member.result.seconds for member in members), 1),
        validation=score([song.labels for song in _validation_songs(run, division)], validation),
        evaluation=score([song.labels for song in division.evaluation], estimates),
    )
    return Outcome(run, result, estimates, validation)


def _means(of_members: Sequence[Sequence[FloatArray]]) -> list[FloatArray]:
    return [np.mean(of_song, axis=0, dtype=np.float32) for of_song in zip(*of_members, strict=True)]


def _validation_songs(run: Run, division: Division) -> list[Song]:
    return hold_out(division.development, run.configuration.validation_share)[1]


def _write_outcome(outcome: Outcome, stem: Path) -> None:
    figures, curves = _paths(stem)
    try:
        np.save(curves, np.concatenate([*outcome.estimates, *outcome.validation]), allow_pickle=False)
    except OSError as error:
        raise DataError(f'cannot write "{curves}": {error.strerror or error}') from error
    write_run(figures, outcome.result)  # last: it says that the run is whole


def _paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.npy")


class _SecondsSpent:
    """Seconds of training, those before an interruption included, up to its last whole epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()
        try:
            self._before = float(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, OverflowError, RecursionError, TypeError, ValueError):
            self._before = 0.0
        if not 0 <= self._before < math.inf:
            self._before = 0.0

    @property
    def spent(self) -> float:
        return self._before + time.monotonic() - self._started

    def note(self) -> None:
        try:
            self._path.write_text(json.dumps(self.spent), encoding="utf-8")
        except OSError as error:
            raise DataError(f'cannot write "{self._path}": {error.strerror or error}') from error


def describe(part: str, epoch: Epoch) -> str:
    """Return a line for a progress display."""
    return f"{part}, epoch {epoch.number}: RMSE {epoch.valence:.3f} / {epoch.arousal:.3f}"
