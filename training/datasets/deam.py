"""DEAM, the MediaEval database for emotional analysis of music: the data of the reproduced paper.

What it is
    1,802 songs with valence and arousal at 2 Hz from 15.0 s on: 1,744 excerpts of 45 s (ids up to 2000) and 58 full
    songs (2001 to 2058), the evaluation set of the challenge of 2015.
Licence
    Annotations CC BY-NC; audio under the Creative Commons licences of its songs. It may not be passed on; its
    publishers give it out at https://cvml.unige.ch/databases/DEAM/.
Citation
    Aljanaki, Yang, Soleymani, "Developing a benchmark for emotional analysis of music", PLOS ONE 2017.
Expected tree
    As it is unpacked::

        annotations/annotations averaged per song/dynamic (per second annotations)/arousal.csv, valence.csv
        MEMD_audio/ID.mp3                     also ID.wav, .flac, .ogg, .opus
        features/ID.csv                       openSMILE's features per 500 ms

    (also with the archives' names ``DEAM_Annotations`` and ``DEAM_audio`` above the first two); or flat, with the two
    tables beside the folder ``MEMD_audio`` or ``audio``: ``arousal.csv, valence.csv``, or ``deam_arousal.csv,
    deam_valence.csv``, or emomusic's ``arousal_cont_average.csv, valence_cont_average.csv``. Columns ``song_id,
    sample_15000ms, sample_15500ms, …``; rows end early.

    ``development_arousal.csv, development_valence.csv``, in the folder itself, hold the labels that the challenge gave
    out for its development set; DEAM's of the same songs differ. Where they are, development songs take their labels
    from them, as the paper's did.
Parts
    As a `Split` says; songs in neither part are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.clips import Clip, DynamicLabels
from training.datasets.deam_splits import Split as Split
from training.tables import DataError, Row, RowError, read_dynamic_labels, read_table

NAME = "deam"

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus")
"""What is taken for audio, the most wanted first."""

NEEDS = ("audio", "features", "labels")
"""What `load` may be told that a song must have."""

_KEY = "song_id"
_UNPACKED = Path("annotations", "annotations averaged per song", "dynamic (per second annotations)")
_TABLES = (
    (_UNPACKED / "valence.csv", _UNPACKED / "arousal.csv"),
    ("DEAM_Annotations" / _UNPACKED / "valence.csv", "DEAM_Annotations" / _UNPACKED / "arousal.csv"),
    (Path("valence.csv"), Path("arousal.csv")),
    (Path("deam_valence.csv"), Path("deam_arousal.csv")),
    (Path("valence_cont_average.csv"), Path("arousal_cont_average.csv")),
)
_TASK_TABLES = ((Path("development_valence.csv"), Path("development_arousal.csv")),)
_AUDIO = ("MEMD_audio", "DEAM_audio/MEMD_audio", "audio")
_FEATURES = "features"

_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """Something wrong with the data.

    Attributes
    ----------
    file : Path
        Where.
    row : int or None
        Its line there, from 1.
    text : str
        What.
    fatal : bool
        Whether a song cannot be used because of it.
    """

    file: Path
    row: int | None
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        place = "" if self.row is None else f", row {self.row}"
        return f'"{self.file}"{place}: {self.text}'


@dataclass(frozen=True)
class Loaded:
    """What `load` gives.

    Attributes
    ----------
    clips : list of Clip
        The usable songs of both parts, with `DynamicLabels`, in the tables' order.
    problems : list of Problem
        What is wrong; the fatal ones first, whose songs are not among the clips.
    """

    clips: list[Clip]
    problems: list[Problem]


def is_here(folder: Path) -> bool:
    """Tell whether a folder holds DEAM's tables in one of the layouts."""
    found = _find(folder, _TABLES)
    try:
        return found is not None and bool(read_table(found[0], [_KEY], lambda _: None))
    except DataError:
        return False


def label_files(folder: Path) -> list[str]:
    """Return the tables of labels that are there, as paths below the folder."""
    pairs = (_find(folder, _TABLES), _find(folder, _TASK_TABLES))
    return [str(table.relative_to(folder)) for pair in pairs if pair for table in pair]


def load(folder: Path, split: Split, skip_bad: bool = False, need: str = "audio") -> Loaded:
    """Load the songs of a split.

    Parameters
    ----------
    folder : Path
        DEAM, unpacked or flat.
    split : Split
        Which songs, in which part.
    skip_bad : bool
        Leave songs out that cannot be used, instead of raising.
    need : {"audio", "features", "labels"}
        What a song must have to be usable, and what its clip's source is: its audio; the file ``features/ID.csv`` or,
        where there is none, its audio; nothing but labels (then the source is where the audio ought to be).

    Returns
    -------
    Loaded

    Raises
    ------
    DataError
        If the tree is another, a table as a whole is malformed, or no song can be used; and, unless `skip_bad`, if a
        song cannot be used: then the message has several lines.
    """
    tables = _find(folder, _TABLES)
    if tables is None:
        raise DataError(
            f'"{folder}" is not DEAM: looked for arousal.csv and valence.csv in it and in "{_UNPACKED}", and for '
            "deam_arousal.csv or arousal_cont_average.csv with their counterparts in it"
        )
    sources = _Sources.find(folder, need)
    task_tables = _find(folder, _TASK_TABLES)
    task = None if task_tables is None else _Labels.read(task_tables)
    main = _Labels.read(tables)

    listed = split.development | split.evaluation
    of_task = frozenset() if task is None else split.development & task.songs
    labels, problems = main.of(listed - of_task)
    if task is not None:
        task_labels, task_problems = task.of(of_task)
        labels.update(task_labels)
        problems += task_problems
    problems += _missing(listed - main.songs - of_task, split, tables[0])

    clips = []
    for song, (row, values) in labels.items():
        source, part = sources.of(song), split.part_of(song)
        assert part is not None
        if source is None:
            problems.append(Problem(row.table, row.line, f"song {song} has {sources.wanted(song)}"))
        else:
            clips.append(Clip(NAME, song, song, source, part, values))
    if computed := [clip.name for clip in clips if sources.folder.name == _FEATURES and clip.source.suffix != ".csv"]:
        text = f"lacks {_some(computed)}, whose features are computed from the audio instead"
        problems.append(Problem(sources.folder, None, text, fatal=False))
    labelled = main.songs | of_task
    problems += [
        Problem(path, None, "has no labels, and is not used", fatal=False)
        for song, path in sources.files.items()
        if song not in labelled
    ]
    problems.sort(key=lambda problem: not problem.fatal)
    _judge(problems, clips, skip_bad, folder)
    return Loaded(clips, problems)


def _judge(problems: Sequence[Problem], clips: Sequence[Clip], skip_bad: bool, folder: Path) -> None:
    fatal = [problem for problem in problems if problem.fatal]
    if clips and (skip_bad or not fatal):
        return
    if not fatal:
        raise DataError(f'"{folder}" has none of the songs of the split')
    lines = [f'"{folder}": {"some songs cannot" if clips else "no song can"} be used']
    lines += [f"  {problem}" for problem in fatal[:_SHOWN]]
    if len(fatal) > _SHOWN:
        lines.append(f"  and {len(fatal) - _SHOWN} more")
    if clips:
        lines.append("add --skip-bad to go on without them")
    raise DataError("\n".join(lines))


def _missing(songs: frozenset[str], split: Split, table: Path) -> list[Problem]:
    problems = [
        Problem(*split.lines[song], f'song {song} is not in "{table}"')
        for song in sorted(songs & split.lines.keys(), key=lambda song: split.lines[song][1])
    ]
    others = sorted(songs - split.lines.keys(), key=lambda song: (len(song), song))
    if others and split.whole:
        problems.append(Problem(table, None, f"lacks {_some(others)} of the split", fatal=False))
    return problems


def _some(songs: Sequence[str]) -> str:
    noun = "song" if len(songs) == 1 else "songs"
    return f"{len(songs)} {noun} ({', '.join(songs[:5])}{', …' if len(songs) > 5 else ''})"


def _find(folder: Path, layouts: Sequence[tuple[Path, Path]]) -> tuple[Path, Path] | None:
    for valence, arousal in layouts:
        if (folder / valence).is_file() or (folder / arousal).is_file():
            return folder / valence, folder / arousal
    return None


@dataclass(frozen=True)
class _Labels:
    """The labels of two tables, and what is wrong with their rows."""

    labels: dict[str, tuple[Row, DynamicLabels]]
    errors: list[RowError]
    remarks: list[RowError]

    @classmethod
    def read(cls, tables: tuple[Path, Path]) -> _Labels:
        errors: list[RowError] = []
        remarks: list[RowError] = []
        return cls(read_dynamic_labels(*tables, _KEY, errors.append, remarks.append), errors, remarks)

    @property
    def songs(self) -> frozenset[str]:
        return frozenset(self.labels).union(map(_song_of, self.errors))

    def of(self, songs: frozenset[str]) -> tuple[dict[str, tuple[Row, DynamicLabels]], list[Problem]]:
        """Return the labels of songs, and what is wrong with these and with rows that name no song."""
        problems = [
            Problem(error.row.table, error.row.line, error.reason, fatal)
            for errors, fatal in ((self.errors, True), (self.remarks, False))
            for error in errors
            if _song_of(error) in songs or not _song_of(error)
        ]
        return {song: labels for song, labels in self.labels.items() if song in songs}, problems


def _song_of(error: RowError) -> str:
    return error.row.cells[_KEY].strip()


@dataclass(frozen=True)
class _Sources:
    """The files of audio or features that are there, by song."""

    need: str
    folder: Path
    files: dict[str, Path]

    @classmethod
    def find(cls, folder: Path, need: str) -> _Sources:
        """Look for them, raising if there is no folder of what is needed."""
        if need not in NEEDS:
            raise ValueError(f"need is one of {', '.join(NEEDS)}, not {need!r}")
        audio = next((folder / name for name in _AUDIO if (folder / name).is_dir()), None)
        files = {} if audio is None else _by_song(audio, AUDIO_SUFFIXES)
        features = folder / _FEATURES
        if need == "features" and features.is_dir():
            return cls(need, features, files | _by_song(features, (".csv",)))
        if audio is None and need != "labels":
            raise DataError(
                f'"{folder}" has no music: looked for a folder {" or ".join(_AUDIO)}'
                + (f" or {_FEATURES}" if need == "features" else "")
            )
        return cls(need, audio or folder / _AUDIO[0], files if need != "labels" else {})

    def of(self, song: str) -> Path | None:
        if self.need == "labels":
            return self.folder / f"{song}{AUDIO_SUFFIXES[0]}"
        return self.files.get(song)

    def wanted(self, song: str) -> str:
        audio = f"no audio ({song}{', '.join(AUDIO_SUFFIXES)})"
        return f'{audio} in "{self.folder}"' if self.need == "audio" else f"{audio} and no features ({song}.csv)"


def _by_song(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    try:
        # a name with a leading dot is an archiver's note about the file, not the file
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        raise DataError(f'cannot read "{folder}": {error.strerror or error}') from error
    return {path.stem: path for suffix in reversed(suffixes) for path in files if path.suffix.lower() == suffix}
