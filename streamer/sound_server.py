"""From which source of a sound server (PulseAudio, or PipeWire in its place) this process records.

A sound server moves recordings: to another source when theirs disappears, and when somebody chooses another default.
PortAudio sees nothing of that.
"""

from __future__ import annotations

import os
from typing import Any

CONNECTING_TIMEOUT = 1.0
"""Seconds that a server may take to accept a connection."""


class SoundServer:
    """A connection to the sound server, if there is one; without one, and without pulsectl, nothing is known."""

    def __init__(self) -> None:
        self._connection: Any = None

    def source(self) -> str | None:
        """Tell from which source this process records.

        Returns
        -------
        str or None
            The source's name; None if it does not record, or not through a sound server.
        """
        try:
            import pulsectl
        except (ImportError, OSError):
            return None
        try:
            if self._connection is None:
                connection = pulsectl.Pulse("moodring", connect=False)
                connection.connect(timeout=CONNECTING_TIMEOUT)
                self._connection = connection
            for recording in self._connection.source_output_list():
                if recording.proplist.get("application.process.id") == str(os.getpid()):
                    name: str = self._connection.source_info(recording.source).name
                    return name
        except (pulsectl.PulseError, pulsectl.PulseDisconnected):
            self.close()
        return None

    def close(self) -> None:
        """Disconnect; the next question connects again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
