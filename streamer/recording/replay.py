"""Publishes the messages of a recording again, each when it is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

from streamer.interruption import Interruption
from streamer.limited_log import LimitedLog
from streamer.messages import FINAL_STATES, HEARTBEAT_INTERVAL, LARGEST_NUMBER, Estimate, Status, StreamState
from streamer.publisher import Publisher
from streamer.recording.folder import RecordingError
from streamer.recording.lines import MessageReader, RecordedMessage

FAST_RATE = 1000.0
"""Messages a second that are sent where timing does not matter: about as many as any subscriber reads."""
MOST_STREAMS = 1024
"""Streams of a recording: a publisher remembers something of each. As many as a `Subscriber` tells apart."""
LEAD = 0.5
"""Seconds before the first message: subscribers that wait for a publisher look for one every 0.1 s."""
_LOOK_INTERVAL = 0.1
"""Seconds between two looks at whether a signal has come."""

_log = logging.getLogger("moodring.replay")


class Replay:
    """Plays a recording to a publisher, once or more often; each time is a new run of its streams.

    Estimates are as they were recorded, but for `time`, which is as far from now as it was from then. Statuses are
    the publisher's own, with the states, reasons and counts of those that were recorded.

    Parameters
    ----------
    messages : MessageReader
        The recording.
    publisher : Publisher
        Where to.
    speed : float or None
        How many times as fast as it was; None for as fast as it goes.
    interrupted : Interruption
        Asked several times a second.

    Attributes
    ----------
    sent : int
        Estimates published so far.
    """

    def __init__(
        self, messages: MessageReader, publisher: Publisher, speed: float | None, interrupted: Interruption
    ) -> None:
        self.sent = 0
        self._messages = messages
        self._publisher = publisher
        self._speed = speed
        self._interrupted = interrupted
        self._warnings = LimitedLog(_log)
        self._statuses: dict[str, Status] = {}
        self._sequences: dict[str, int] = {}
        self._times: dict[str, float] = {}

    def play(self) -> None:
        """Publish the recording from its beginning to its end, or until a signal has come.

        The last status of every stream then says that it has ended.

        Raises
        ------
        RecordingError
            If it cannot be read, or there is no message in it.
        """
        self._sequences.clear()
        self._times.clear()
        self._wait_until(time.monotonic() + LEAD)
        began, utc = time.monotonic(), time.time()
        base: float | None = None
        reason = "end of the recording"
        try:
            for number, recorded in enumerate(self._readable()):
                if base is None:
                    base = recorded.message.time - recorded.elapsed
                due = number / FAST_RATE if self._speed is None else recorded.elapsed / self._speed
                if not self._wait_until(began + due):
                    reason = self._interrupted.reason
                    break
                if isinstance(recorded.message, Status):
                    self._tell(recorded.message)
                else:
                    now = due if self._speed is None else (recorded.message.time - base) / self._speed
                    self._publish(recorded.message, utc + now)
            else:
                if base is None:
                    raise RecordingError(f'"{self._messages.path}" holds no messages{self._because()}')
                self._tell_what_was_left_out()
                self._wait_until(began + HEARTBEAT_INTERVAL)  # what is played again must not flood anybody
        except RecordingError as error:
            self._end("failed", str(error))
            raise
        self._end("ended", reason)

    def _readable(self) -> Iterator[RecordedMessage]:
        for recorded in self._messages:
            stream = recorded.message.stream
            if stream in self._statuses or len(self._statuses) < MOST_STREAMS:
                yield recorded
            else:
                self._warnings.warning("streams", f"more than {MOST_STREAMS} streams: the others are left out")

    def _tell_what_was_left_out(self) -> None:
        if self._messages.refused:
            lines = f"{self._messages.refused} lines" if self._messages.refused > 1 else "1 line"
            self._warnings.warning("lines", f'{lines} of "{self._messages.path}" left out{self._because()}')

    def _because(self) -> str:
        return f" ({self._messages.first_refused})" if self._messages.refused else ""

    def _wait_until(self, due: float) -> bool:
        while not self._interrupted.is_set():
            remaining = due - time.monotonic()
            if remaining <= 0:
                return True
            time.sleep(min(remaining, _LOOK_INTERVAL))
        return False

    def _tell(self, status: Status) -> None:
        before = self._statuses.get(status.stream)
        if before is not None and before.started is not None and before.started != status.started:
            self._sequences.pop(status.stream, None)
            if before.state not in FINAL_STATES:
                self._begin_run(status.stream)
        told = replace(status, sequence=0, time=0.0)
        # the publisher repeats by itself what stays the same
        if before is None or before != told:
            self._set_status(told)

    def _publish(self, estimate: Estimate, now: float) -> None:
        stream = estimate.stream
        if estimate.sequence <= self._sequences.get(stream, -1) or stream not in self._statuses:
            self._begin_run(stream)
        if self._statuses[stream].state in (*FINAL_STATES, "starting"):
            self._set_status(replace(self._statuses[stream], state="running"))
        self._sequences[stream] = estimate.sequence
        now = min(max(now, 0.0, self._times.get(stream, 0.0)), LARGEST_NUMBER)
        self._times[stream] = now
        self._publisher.publish(replace(estimate, time=now))
        self.sent += 1

    def _begin_run(self, stream: str) -> None:
        self._sequences.pop(stream, None)
        started = self._statuses[stream].started if stream in self._statuses else None
        self._set_status(Status(stream, 0, 0.0, "starting", 0.0, "", started=started))

    def _set_status(self, status: Status) -> None:
        self._statuses[status.stream] = status
        self._publisher.set_status(status.stream, status.state, status.dropped, status.reason, status.invalid)

    def _end(self, state: StreamState, reason: str) -> None:
        for status in list(self._statuses.values()):
            if status.state not in FINAL_STATES:
                self._set_status(replace(status, state=state, reason=reason))
