"""A virtual environment for each peer, so that neither its licence nor its pinned versions are moodring's business."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.tables import DataError

PYTHONS = ("python3.11", "python3.12")
"""Interpreters that there are wheels of all the pinned versions for."""

_PROGRAMS = Path(__file__).parent / "programs"
_REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Peer:
    """Something else that could be installed.

    Attributes
    ----------
    name : str
    numbers : int
        How many it gives of a patch.
    """

    name: str
    numbers: int

    @property
    def program(self) -> Path:
        """What runs in its environment."""
        return _PROGRAMS / f"{self.name}_program.py"

    @property
    def cost_program(self) -> Path:
        """What runs in its environment to hear one file, as its users would; its cost is measured."""
        return _PROGRAMS / f"{self.name}_cost.py"

    @property
    def requirements(self) -> Path:
        """What its environment consists of, every version pinned."""
        return _PROGRAMS / f"{self.name}.txt"


VIBENET = Peer("vibenet", 7)
MUSICNN = Peer("musicnn", 400)
OPENSMILE = Peer("opensmile", 65)
LIBROSA = Peer("librosa", 140)


def environment_python(peer: Peer, folder: Path, interpreter: str = "") -> Path:
    """Return the interpreter of a peer's environment, making the environment if it is not there as pinned.

    Parameters
    ----------
    peer : Peer
    folder : Path
        Environments are folders in it.
    interpreter : str
        What to make it with; the first of `PYTHONS` that works if empty.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If there is no such interpreter, or the packages cannot be installed.
    """
    # all that is needed is on the list: musicnn asks for a NumPy that no current Python can have
    packages = [["--no-deps", "--requirement", str(peer.requirements)]]
    return _environment(folder / peer.name, peer.name, packages, peer.requirements.read_text(), interpreter)


def moodring_python(place: Path, extra: str, besides: Sequence[str], interpreter: str = "") -> Path:
    """Return the interpreter of an environment with moodring as it is in this repository, as its users install it.

    Parameters
    ----------
    place : Path
        The environment's folder.
    extra : str
        Such as ``[torch]``; empty for the plain install.
    besides : sequence of str
        Packages that are installed without what they depend on.
    interpreter : str
        As for `environment_python`.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        As `environment_python` does.
    """
    pins, project = _REPOSITORY / "scripts" / "constraints.txt", _REPOSITORY / "pyproject.toml"
    packages = [["--constraint", str(pins), f"{_REPOSITORY}{extra}"], *(["--no-deps", one] for one in besides)]
    wanted = "\n".join([extra, *besides, pins.read_text(), project.read_text()])
    python = _environment(place, f"moodring{extra}", packages, wanted, interpreter)
    # its modules may have changed since, which no version tells
    again = [*_install(python), "--no-deps", "--force-reinstall", str(_REPOSITORY)]
    _run(again, f"install moodring{extra}")
    return python


def _environment(place: Path, name: str, packages: Sequence[Sequence[str]], wanted: str, interpreter: str) -> Path:
    python, stamp = place / "bin" / "python", place / "installed.txt"
    if python.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    _run([_interpreter(interpreter), "-m", "venv", str(place)], f"make an environment in {place}")
    for some in packages:
        _run([*_install(python), *some], f"install {name}")
    stamp.write_text(wanted)
    return python


def _install(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _interpreter(named: str) -> str:
    for candidate in [named] if named else PYTHONS:
        if shutil.which(candidate) and subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
            return candidate
    tried = named or " nor ".join(PYTHONS)
    raise DataError(f"the peers need Python 3.11 or 3.12, and there is no {tried}; name one with --python")


def _run(command: list[str], purpose: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise DataError(f"could not {purpose}: {said[-1] if said else f'exit status {done.returncode}'}")
