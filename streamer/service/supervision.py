"""Keeps one stream of the service going: opens its source, and opens it again when it has failed."""

from __future__ import annotations

import logging
import threading
import time

from model.errors import MoodringError
from model.features import FeatureParameters
from streamer.live import LiveStream, Outlet
from streamer.messages import FINAL_STATES, Estimate, StreamState
from streamer.service.board import Board
from streamer.service.inputs import Input
from streamer.service.sources import can_be_opened_again, is_paced, open_source
from streamer.tls import MutualTLS
from streamer.tracker import Tracker

SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 4.0
"""Seconds between attempts to open a source: each pause is twice the one before. A device that comes back is in use
within 5 s."""
STEADY_AFTER = 10.0
"""Seconds after which a run counts as a success, so that the next pause is short again."""

_log = logging.getLogger("moodring.service")


class SupervisedStream:
    """A stream that goes on until it is stopped, or its source has come to its end.

    Parameters
    ----------
    stream : str
        The stream's name.
    heard : Input
        What it hears.
    tracker : Tracker
        Where frames go.
    outlet : Outlet
        Where statuses go.
    board : Board
        Where restarts and refused writers are counted.
    parameters : FeatureParameters
        What a frame is.
    tls : MutualTLS, optional
        What connections are wrapped in.
    """

    def __init__(
        self,
        stream: str,
        heard: Input,
        tracker: Tracker,
        outlet: Outlet,
        board: Board,
        parameters: FeatureParameters,
        tls: MutualTLS | None = None,
    ) -> None:
        self.stream = stream
        self._heard = heard
        self._tracker = tracker
        self._outlet = outlet
        self._board = board
        self._parameters = parameters
        self._tls = tls
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._last_words: tuple[StreamState, str] = "ended", ""
        self._replaced = False
        self._live: LiveStream | None = None
        self._losses = 0.0, 0
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name=f"stream {stream}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, reason: str, state: StreamState = "ended", replaced: bool = False) -> None:
        """Make the stream end soon; returns at once.

        Parameters
        ----------
        reason : str
            What its last status says.
        state : StreamState
            ``ended`` or ``failed``.
        replaced : bool
            Another run follows at once, whose first status takes the place of this one's last.
        """
        with self._lock:
            self._last_words, self._replaced = (state, reason), replaced
            self._stop.set()
            if self._live is not None:
                self._live.stop(reason, state)

    def join(self, timeout: float) -> bool:
        """Wait for the end.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        bool
            Whether the stream has ended.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def publish(self, estimate: Estimate) -> None:
        """Pass an estimate on, as an outlet does."""
        self._outlet.publish(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        """Pass a status on, unless it is about an end that is none."""
        self._losses = dropped, invalid
        if state == "running":
            self._complaint = ""
        # a failure is not the end: what follows is told by `_run`
        if (state != "failed" or self._stop.is_set()) and not (self._replaced and state in FINAL_STATES):
            self._outlet.set_status(stream, state, dropped, reason, invalid)

    def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            failure = self._run_once()
            if failure is None:
                return
            if self._stop.is_set():
                break
            if not (can_be_opened_again(self._heard) and self._tracker.alive):
                _log.error('stream "%s" has failed: %s', self.stream, failure)
                self._outlet.set_status(self.stream, "failed", self._losses[0], str(failure), self._losses[1])
                return
            if time.monotonic() - began > STEADY_AFTER:
                pause = SHORTEST_PAUSE
            self._complain(str(failure))
            self._tell("stalled", f"{failure}; trying again in {pause:g} s")
            if self._stop.wait(pause):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
            self._board.count_restart(self.stream)
        if not self._replaced:
            self._tell(*self._last_words)

    def _run_once(self) -> MoodringError | None:
        """Run until the source ends; None if it has ended well, and the outlet has been told so."""
        try:
            source = open_source(self._heard, lambda: self._board.count_refused(self.stream), self._tls)
            live = LiveStream(self.stream, source, self._tracker, self, self._parameters, paced=is_paced(self._heard))
            with self._lock:
                if not self._stop.is_set():
                    live.start()
                    self._live = live
            if self._live is None:
                source.close()
                return MoodringError("stopped before it began")
            live.join()
        except MoodringError as error:
            return error
        except Exception as error:
            # whatever it is, the other streams have nothing to do with it
            return MoodringError(f"{self._heard} cannot be opened: {type(error).__name__}: {error}")
        finally:
            self._live = None
            self._tracker.remove_stream(self.stream)
        return live.error

    def _complain(self, failure: str) -> None:
        if failure != self._complaint:
            self._complaint = failure
            _log.warning('stream "%s": %s; trying again until it works', self.stream, failure)

    def _tell(self, state: StreamState, reason: str) -> None:
        self._outlet.set_status(self.stream, state, self._losses[0], reason, self._losses[1])
