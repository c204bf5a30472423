"""How much audio a file of so many bytes can hold: a bound on what its header claims, for whoever decodes it.

libsndfile believes some headers more than the file: of a GSM 6.10 file of one kilobyte that claims a negative length,
it decodes silence for a year of audio.
"""

from __future__ import annotations

_MOST_FRAMES_PER_BYTE = {"FLAC": 8192, "OGG": 8192, "CAF": 8192, "MP3": 64, "FFMPEG": 8192}
"""Of formats that compress silence: a FLAC frame of 65535 samples takes 11 bytes at least (RFC 9639, section 9), an
Opus packet of 5760 samples two with its place in the table (RFC 6716, section 3.1), a layer III frame of 576 24."""
_MOST_FRAMES_PER_BYTE_ELSEWHERE = 16
"""The densest of the others, GSM 6.10, has 5."""
_ALWAYS_ALLOWED = 1 << 16


def most_frames(container: str, size: int) -> int:
    """Return how many samples per channel a file may have.

    Parameters
    ----------
    container : str
        As libsndfile calls it, such as ``WAV``; ``FFMPEG`` for whatever PyAV reads.
    size : int
        Bytes of the file.

    Returns
    -------
    int
        At least as many as any file of that size can hold.
    """
    return _ALWAYS_ALLOWED + size * _MOST_FRAMES_PER_BYTE.get(container, _MOST_FRAMES_PER_BYTE_ELSEWHERE)
