"""A virtual environment for each peer, so that neither its licence nor its pinned versions are moodring's business."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training.tables import DataError

PYTHONS = ("python3.11", "python3.12")
"""Interpreters that there are wheels of all the pinned versions for."""

_PROGRAMS = Path(__file__).parent / "programs"


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
    def requirements(self) -> Path:
        """What its environment consists of, every version pinned."""
        return _PROGRAMS / f"{self.name}.txt"


VIBENET = Peer("vibenet", 7)
MUSICNN = Peer("musicnn", 400)


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
    place = folder / peer.name
    python, stamp = place / "bin" / "python", place / "installed.txt"
    wanted = peer.requirements.read_text()
    if python.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    _run([_interpreter(interpreter), "-m", "venv", str(place)], f"make an environment in {place}")
    # all that is needed is on the list: musicnn asks for a NumPy that no current Python can have
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*install, "--requirement", str(peer.requirements)], f"install {peer.name}")
    stamp.write_text(wanted)
    return python


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
