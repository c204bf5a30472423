"""The labelled music that moodring is trained on and measured with: one module per data set.

Every module states what the data set is, its licence, its citation and the tree that it expects, and has ``NAME``,
``LABEL_FILES`` and ``load(folder)``. :func:`find` looks for all of them below one folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.clips import Clip
from training.datasets import emomusic, emopia, emotify, own_music, quadrants_4q, vgmidi
from training.tables import DataError


@dataclass(frozen=True)
class DataSet:
    """Where a data set lies and how it is loaded.

    Attributes
    ----------
    name : str
        As in its module.
    folder : Path
        Its own folder.
    label_files : sequence of str
        Tables below `folder`; those that are not there are not part of it.
    load : callable
        Folder to clips.
    """

    name: str
    folder: Path
    label_files: Sequence[str]
    load: Callable[[Path], list[Clip]]

    def clips(self) -> list[Clip]:
        """Load the clips; see the data set's module for what raises."""
        return self.load(self.folder)

    def label_hash(self) -> str:
        """Return the SHA-256 of the label files, one after the other, in hexadecimal."""
        digest = hashlib.sha256()
        for name in self.label_files:
            path = self.folder / name
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()


_MODULES = (vgmidi, emomusic, emotify, quadrants_4q, emopia)


def find(folder: Path) -> tuple[list[DataSet], list[str]]:
    """Find the data sets below a folder.

    Parameters
    ----------
    folder : Path
        Has any of the folders ``vgmidi``, ``emomusic``, ``emotify``, ``4q``, ``emopia``, or the layout of
        `own_music`.

    Returns
    -------
    found : list of DataSet
    missing : list of str
        Names of those that are not there (never that of `own_music`).

    Raises
    ------
    DataError
        If there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise DataError(f'there is no folder "{folder}"')
    found = [
        DataSet(module.NAME, folder / module.NAME, module.LABEL_FILES, module.load)
        for module in _MODULES
        if (folder / module.NAME).is_dir()
    ]
    missing = [module.NAME for module in _MODULES if not (folder / module.NAME).is_dir()]
    if any((folder / name).is_file() for name in own_music.LABEL_FILES):
        found.append(DataSet(own_music.NAME, folder, own_music.LABEL_FILES, own_music.load))
    if not found:
        raise DataError(
            f'"{folder}" has no data set: neither a folder {", ".join(missing)}, nor labels.csv beside a folder audio'
        )
    return found, missing
