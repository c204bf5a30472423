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
from training.datasets import deam, emomusic, emopia, emotify, own_music, quadrants_4q, vgmidi
from training.datasets.deam_splits import Split, split
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


def find(folder: Path, deam_split: Split | None = None, skip_bad: bool = False) -> tuple[list[DataSet], list[str]]:
    """Find the data sets below a folder.

    Parameters
    ----------
    folder : Path
        Has any of the folders ``vgmidi``, ``emomusic``, ``emotify``, ``4q``, ``emopia``, ``deam``; or is itself one of
        these, or the layout of `own_music`.
    deam_split : Split, optional
        Songs of DEAM for each part; `deam_splits.split`'s default if not given.
    skip_bad : bool
        Leave songs of DEAM out that something is wrong with.

    Returns
    -------
    found : list of DataSet
    missing : list of str
        Names of those that are not there (never that of `own_music` or `deam`).

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
    for module in _MODULES:
        if folder.name == module.NAME and all((folder / name).is_file() for name in module.LABEL_FILES):
            return [DataSet(module.NAME, folder, module.LABEL_FILES, module.load)], []
    missing = [module.NAME for module in _MODULES if not (folder / module.NAME).is_dir()]
    deam_folder = next((f for f in (folder / "deam", folder / "DEAM", folder) if deam.is_here(f)), None)
    if deam_folder is not None:
        songs = deam_split or split()

        def load_deam(folder: Path) -> list[Clip]:
            return deam.load(folder, songs, skip_bad).clips

        found.append(DataSet(deam.NAME, deam_folder, deam.label_files(deam_folder), load_deam))
    if own_music.is_layout(folder):
        found.append(DataSet(own_music.NAME, folder, own_music.LABEL_FILES, own_music.load))
    if not found:
        raise DataError(
            f'"{folder}" has no data set: neither a folder {", ".join(missing)}, nor labels.csv beside a folder audio'
        )
    return found, missing
