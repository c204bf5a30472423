"""What `listen`, `stream` and `demo` do alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from model.estimator import Estimator
from streamer.commands.options import LiveOptions
from streamer.display import make_display
from streamer.framer import phases_of_rate
from streamer.messages import Estimate
from streamer.performance import perform, tell_failure
from streamer.publisher import Publisher
from streamer.source import Source

if TYPE_CHECKING:
    from streamer.recording.recording import Recording


def run_live(
    options: LiveOptions,
    open_source: Callable[[], Source],
    default_stream: str,
    paced: bool,
    on_estimate: Callable[[Estimate], None] | None = None,
) -> None:
    """Track one source with the options of a live command.

    Parameters
    ----------
    options : LiveOptions
        From the command line.
    open_source : callable
        Opens what to hear; called last, so that nothing is captured while the model loads.
    default_stream : str
        The stream's name if the options give none; other characters than a name may have are replaced.
    paced : bool
        Real time for a source that is not live.
    on_estimate : callable, optional
        Is shown every estimate.

    Raises
    ------
    model.errors.MoodringError
        If anything cannot be opened, or breaks.
    """
    stream = options.stream or re.sub(r"[^A-Za-z0-9._-]+", "_", default_stream)[:100] or "stream"
    checkpoint = options.model.load()
    checkpoint.frames_of_lag(options.lag)
    phases = phases_of_rate(options.rate, checkpoint.frontend.parameters)
    with ExitStack() as stack:
        recording = _begin_recording(options, stream, checkpoint, stack)
        on_sent = None if recording is None else recording.take_message
        publisher = Publisher(options.publish, options.insecure, options.keys, on_sent)
        publisher.set_status(stream, "starting")  # opening a microphone may take seconds
        try:
            window_seconds = checkpoint.window * checkpoint.frontend.parameters.frame_duration
            display = make_display(publisher.endpoint, "moodring", options.quiet, options.json, window_seconds)
            source = open_source()
        except BaseException as error:
            tell_failure(publisher, stream, error)
            publisher.close()
            raise
        if recording is not None:
            click.echo(f'moodring: recording to "{recording.folder}"', err=True)
            source = recording.hear(source, wait=not paced and not source.live)
        perform(source, stream, checkpoint, publisher, display, options.lag, paced, on_estimate, phases)


def _begin_recording(options: LiveOptions, stream: str, checkpoint: Estimator, stack: ExitStack) -> Recording | None:
    if options.record is None:
        return None
    from streamer.recording.recording import Recording

    model = {"model": checkpoint.name, "digest": checkpoint.digest(), "runtime": checkpoint.runtime}
    return stack.enter_context(Recording(options.record, stream, model | {"lag": options.lag, "rate": options.rate}))
