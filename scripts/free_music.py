"""Fetch music under free licences, to train with though nobody has labelled it: that of games in Debian's archive.

Of every track that is no sound effect, the middle 45 s are kept, mono, as FLAC in FOLDER/PACKAGE, beside the package's
own ``copyright``, which says under which free licence each file is. The packages are those of ``free_music.txt``. Needs
``apt-get`` and ``dpkg-deb`` (Debian, Ubuntu), 7 GB of downloads and 2 GB of disk; what is there is not fetched again.

    python scripts/free_music.py FOLDER
    moodring train --data … --ear distilled --unlabelled FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

PACKAGES = Path(__file__).with_suffix(".txt").read_text(encoding="ascii").split()
SECONDS = 45.0
SHORTEST = 25.0
"""Seconds: what is shorter is a sound effect, or a voice."""
QUIETEST = 1e-3
"""Root mean square of samples."""
SUFFIXES = {".ogg", ".oga", ".opus", ".mp3", ".flac", ".wav"}
ARCHIVES = {".zip", ".pk3"}


def unpack(package: str, folder: Path) -> None:
    """Download a package and unpack it, and the archives in it, into a folder."""
    subprocess.run(
        ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-q", package],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder / "files"], check=True)
    archive.unlink()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ARCHIVES and path.is_file():
            with zipfile.ZipFile(path) as packed:
                packed.extractall(path.with_name(f"{path.name}.files"))


def tracks_of(folder: Path) -> Iterator[tuple[str, np.ndarray, int]]:
    """Yield the name, the middle and the sample rate of each track below a folder, each sound once."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file() or path.is_symlink():
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            with soundfile.SoundFile(path) as file:
                length = min(len(file), round(SECONDS * file.samplerate))
                if len(file) < SHORTEST * file.samplerate:
                    continue
                file.seek((len(file) - length) // 2)
                samples = file.read(length, dtype="float32", always_2d=True).mean(axis=1)
        except soundfile.LibsndfileError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if len(samples) and np.sqrt(np.mean(samples**2)) >= QUIETEST:
            yield f"{path.stem}-{digest[:8]}", samples, file.samplerate


def fetch(package: str, folder: Path) -> int:
    """Put a package's tracks into a folder, whole or not at all; return how many there are."""
    with tempfile.TemporaryDirectory() as scratch:
        unpack(package, Path(scratch))
        kept = Path(scratch) / "kept"
        kept.mkdir()
        count = 0
        for name, samples, rate in tracks_of(Path(scratch) / "files"):
            soundfile.write(kept / f"{name}.flac", samples, rate)
            count += 1
        shutil.copy(Path(scratch) / "files" / "usr" / "share" / "doc" / package / "copyright", kept)
        half = folder / f".{package}"
        shutil.copytree(kept, half, dirs_exist_ok=True)
        half.rename(folder / package)
    return count


def main() -> None:
    """Fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the excerpts go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for package in track([name for name in PACKAGES if not (folder / name).is_dir()], "packages"):
        try:
            print(f"{package}: {fetch(package, folder)} tracks", flush=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{package}: left out: {error}", file=sys.stderr)
    tracks = sorted(folder.glob("*/*.flac"))
    hours = sum(soundfile.info(path).duration for path in tracks) / 3600
    print(f"{len(tracks)} tracks, {hours:.1f} hours")


if __name__ == "__main__":
    main()
