"""Which songs of DEAM are for development and which for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from training.clips import DEVELOPMENT, EVALUATION
from training.tables import DataError

SPLITS = ("mediaeval2015", "deam")
"""The built-in splits, by the names that `split` takes."""

FULL_SONGS = frozenset(str(number) for number in range(2001, 2059))
"""The evaluation songs of MediaEval 2015, and of the paper."""
_EXCERPTS = frozenset(str(number) for number in range(1, 2001))


@dataclass(frozen=True)
class Split:
    """Songs of each part.

    Attributes
    ----------
    development, evaluation : frozenset of str
        Songs' ids; no song is in both.
    whole : bool
        Whether each song ought to be there; not so for a range of ids that has gaps.
    lines : mapping
        Where an id stands, for those that were read from a file: the file and the line.
    """

    development: frozenset[str]
    evaluation: frozenset[str]
    whole: bool = True
    lines: Mapping[str, tuple[Path, int]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        both = sorted(self.development & self.evaluation, key=_by_number)
        if not both:
            return
        where = ""
        if both[0] in self.lines:
            path, line = self.lines[both[0]]
            where = f'"{path}", line {line}: '
        raise DataError(f"{where}song {both[0]} is in both parts of the split")

    def part_of(self, song: str) -> str | None:
        """Return `DEVELOPMENT`, `EVALUATION`, or None for a song in neither part."""
        if song in self.development:
            return DEVELOPMENT
        return EVALUATION if song in self.evaluation else None


def split(name: str = "mediaeval2015", development: Path | None = None, evaluation: Path | None = None) -> Split:
    """Return a built-in split, or one's own.

    Parameters
    ----------
    name : str
        ``mediaeval2015``: the 431 excerpts of the challenge's development set; ``deam``: all excerpts, 1 to 2000. Both
        are evaluated on the 58 full songs, 2001 to 2058.
    development, evaluation : Path, optional
        Lists of ids (see `read_ids`) that take the place of the built-in part.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If there is no such split, a list is malformed, or a song is in both parts.
    """
    if name not in SPLITS:
        raise DataError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")
    lines: dict[str, tuple[Path, int]] = {}
    parts = [_mediaeval2015() if name == "mediaeval2015" else _EXCERPTS, FULL_SONGS]
    for place, path in enumerate((development, evaluation)):
        if path is not None:
            ids = read_ids(path)
            lines.update({song: (path, line) for song, line in ids.items()})
            parts[place] = frozenset(ids)
    return Split(parts[0], parts[1], name != "deam", lines)


def read_ids(path: Path) -> dict[str, int]:
    """Read a list of songs.

    Parameters
    ----------
    path : Path
        One id per line; blank lines, and what follows a ``#``, do not count.

    Returns
    -------
    dict
        The line of each id, from 1.

    Raises
    ------
    DataError
        If the file cannot be read, names no song, or one twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise DataError(f'"{path}" is not text in UTF-8') from error
    ids: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        song = line.partition("#")[0].strip()
        if not song:
            continue
        if len(song.split()) > 1:
            raise DataError(f'"{path}", line {number}: {song[:40]!r} is more than one id')
        if song in ids:
            raise DataError(f'"{path}", line {number}: song {song} stands in line {ids[song]} already')
        ids[song] = number
    if not ids:
        raise DataError(f'"{path}" names no song')
    return ids


def _mediaeval2015() -> frozenset[str]:
    text = resources.files("training.datasets").joinpath("splits/mediaeval2015_development.txt").read_text("utf-8")
    return frozenset(text.split())


def _by_number(song: str) -> tuple[int, str]:
    return (int(song), song) if song.isdecimal() else (0, song)
