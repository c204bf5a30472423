"""From which source of a sound server (PulseAudio, or PipeWire in its place) this process records.

A sound server moves recordings: to another source when theirs disappears, and when somebody chooses another default.
PortAudio sees nothing of that.
"""

from __future__ import annotations

import os
from typing import Any

CONNECTING_TIMEOUT = 1.0
"""Seconds that a server may take to accept a connection."""
LISTENING = 1e-4
"""Seconds spent on what the server has told; some time, because 0 would mean for ever."""


class SoundServer:
    """A connection to the sound server, if there is one; without one, and without pulsectl, nothing is known."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._changed = False

    def changed(self) -> bool:
        """Tell whether any recording may have begun, ended or been moved since `source` was last asked.

        Much quicker than to ask where this process records from: the server tells of changes by itself.

        Returns
        -------
        bool
            False when there is no connection: nothing is told then.
        """
        if self._connection is None:
            return False
        import pulsectl

        try:
            self._connection.event_listen(LISTENING)
        except (pulsectl.PulseError, pulsectl.PulseDisconnected):
            self.close()
        return self._changed

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
                connection.event_callback_set(self._note_change)
                connection.event_mask_set("source_output")
                self._connection = connection
            self._changed = False
            for recording in self._connection.source_output_list():
                if recording.proplist.get("application.process.id") == str(os.getpid()):
                    name: str = self._connection.source_info(recording.source).name
                    return name
        except (pulsectl.PulseError, pulsectl.PulseDisconnected):
            self.close()
        return None

    def _note_change(self, event: object) -> None:
        self._changed = True

    def close(self) -> None:
        """Disconnect; the next question connects again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def sources() -> list[dict[str, Any]]:
    """List what the sound server can record from.

    Returns
    -------
    list of dict
        ``name``; ``description``, for people; ``monitor``, whether it is what an output plays; ``muted``; ``default``.
        Empty without a server.
    """
    try:
        import pulsectl
    except (ImportError, OSError):
        return []
    connection = pulsectl.Pulse("moodring", connect=False)
    try:
        connection.connect(timeout=CONNECTING_TIMEOUT)
        default = connection.server_info().default_source_name
        return [
            {
                "name": source.name,
                "description": source.description,
                "monitor": source.proplist.get("device.class") == "monitor",
                "muted": bool(source.mute),
                "default": source.name == default,
            }
            for source in connection.source_list()
        ]
    except (pulsectl.PulseError, pulsectl.PulseDisconnected):
        return []
    finally:
        connection.close()
