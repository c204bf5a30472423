"""Opens a file as a source of audio: by libsndfile, or by PyAV where the file's name says that libsndfile cannot."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from streamer.audio_file import EXTENSIONS as SOUNDFILE_EXTENSIONS
from streamer.audio_file import AudioFile
from streamer.source import Source, SourceError

CONTAINERS = {
    **dict.fromkeys((".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp"), "mov"),
    **dict.fromkeys((".mka", ".mkv", ".webm"), "matroska"),
    **dict.fromkeys((".wma", ".wmv", ".asf"), "asf"),
    ".aac": "aac",
    ".avi": "avi",
}
"""File name endings that PyAV reads, and the one reader of FFmpeg's that each is given to: it must not guess from the
content, because some of its readers fetch what a file names, from other files or from the network."""

EXTENSIONS = SOUNDFILE_EXTENSIONS | CONTAINERS.keys()
"""File name endings that a folder is searched for."""

WAY_OUT = 'install it: pip install "moodring[formats]"'
"""For whoever has no PyAV."""


def has_pyav() -> bool:
    """Tell whether the package is there, without importing it."""
    return find_spec("av") is not None


def open_file(path: str | Path) -> Source:
    """Open a file.

    Parameters
    ----------
    path : str or Path
        Audio, or a video with sound.

    Returns
    -------
    Source
        Block by block, never loaded whole.

    Raises
    ------
    SourceError
        If there is no such file, it cannot be read, or PyAV is needed and missing.
    """
    container = CONTAINERS.get(Path(path).suffix.lower())
    if container is None:
        return AudioFile(path)
    if not has_pyav():
        raise SourceError(f'"{path}" needs the package PyAV; {WAY_OUT}')
    from streamer.video_file import VideoFile

    return VideoFile(path, container)
