"""Where the command `moodring` starts: from here on, and before anything large is imported, Ctrl-C is one line."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Import the command line and run it."""
    try:
        ctrl_c = signal.getsignal(signal.SIGINT)
        if ctrl_c is signal.default_int_handler:  # and not ignored
            signal.signal(signal.SIGINT, _end)
        from streamer.cli import main as run

        signal.signal(signal.SIGINT, ctrl_c)
        run()
    except KeyboardInterrupt:
        _end(signal.SIGINT)


def _end(number: int, frame: FrameType | None = None) -> NoReturn:
    # nothing has been opened yet that would have to be closed; an exception could be lost in the middle of an import
    os.write(2, b"moodring: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
