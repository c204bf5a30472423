"""The command `moodring`. Subcommands are loaded when they are called, so that ``moodring --help`` answers at once."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from model.errors import MoodringError
from streamer.interruption import Interrupted, lift_limits, signals_raised, terminal_is_gone
from streamer.logs import log_to_standard_error
from streamer.native_output import discard_native_output

_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2
_LONGEST_COMPLAINT = 0.5
"""Seconds to wait for a terminal that was stopped, or a pipe that nobody reads, before the last line is given up."""


class _Entry(NamedTuple):
    target: str
    help: str
    extra: str = ""


_COMMANDS = {
    "demo": _Entry("streamer.commands.demo:demo", "Compose a one-minute piece and track it."),
    "listen": _Entry("streamer.commands.listen:listen", "Track a microphone, live."),
    "stream": _Entry("streamer.commands.stream:stream", "Track a file or a pipe in real time."),
    "annotate": _Entry("streamer.commands.annotate:annotate", "Track whole files as fast as possible, to a table."),
    "report": _Entry("streamer.commands.report:report", "Draw the mood of a whole file, as a page or a picture."),
    "watch": _Entry("streamer.commands.watch:watch", "Subscribe to a publisher and show what it sends."),
    "dashboard": _Entry("streamer.commands.dashboard:dashboard", "Show what a publisher sends on a page.", "dashboard"),
    "replay": _Entry("streamer.commands.replay:replay", "Publish what was recorded, with the timing that it had."),
    "devices": _Entry("streamer.commands.devices:devices", "List the devices that can be listened to."),
    "doctor": _Entry("streamer.commands.doctor:doctor", "Say what works on this machine, and what to do."),
    "serve": _Entry("streamer.commands.serve:serve", "Track several streams as a service, from a configuration."),
    "hub": _Entry("streamer.commands.hub:hub", "Bring many trackers, on many machines, to one endpoint."),
    "bridge": _Entry("streamer.commands.bridge:bridge", "Bring what a publisher says to lights and programs."),
    "keygen": _Entry("streamer.commands.keygen:keygen", "Make a key pair for a publisher or a subscriber."),
    "export": _Entry("streamer.commands.export:export", "Write a model for machines without torch."),
    "train": _Entry("training.commands:train", "Train a model from labelled music.", "train"),
    "teach-notes": _Entry("training.commands:teach_notes", "Teach what hears the notes of music.", "train"),
    "evaluate": _Entry("training.commands:evaluate", "Measure a model on labelled music.", "train"),
    "search": _Entry("training.paper.commands:search", "Search the paper's hyperparameters.", "search"),
    "reproduce": _Entry(
        "training.paper.commands:reproduce", "Print the paper's tables, ours beside them.", "reproduce"
    ),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].target.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if ctx.resilient_parsing:  # of a line that is being completed
                return None
            raise _missing_package(error, cmd_name) from error
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete subcommands without loading any of them."""
        commands = [CompletionItem(name, help=e.help) for name, e in _COMMANDS.items() if name.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise _missing_package(error, ctx.invoked_subcommand or "") from error
        except BrokenPipeError:
            _discard(_STANDARD_OUTPUT)  # whoever read it has seen enough
        except KeyboardInterrupt as error:
            raise click.Abort from error  # click would print an empty line before it says so, and wait to be read

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in _COMMANDS.items()])


def _missing_package(error: ModuleNotFoundError, command: str) -> Exception:
    """Say what a command needs that is not installed; a module of our own that is missing is no such thing."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "model", "streamer", "training"):
        return error
    extra = _COMMANDS[command].extra if command in _COMMANDS else ""
    return MoodringError(f'moodring {command} needs {package}: pip install "moodring{f"[{extra}]" if extra else ""}"')


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moodring")
def cli() -> None:
    """Listen to music and say, twice a second, how it feels: valence and arousal.

    \b
    Examples:
      moodring demo                          see it work, without any audio of yours
      moodring stream song.mp3               a file, in real time
      moodring listen --device "USB"         a microphone
      moodring annotate music/ -o mood.csv   a whole folder, as fast as possible
      moodring watch                         in another terminal: what is being published
    """


def main() -> None:
    """Run the command line; every expected failure is one line on standard error and a non-zero exit status.

    That status is 128 + the signal's number when a signal ended work that was not done. A reader of standard output
    that has gone away ends it with status 0.
    """
    # more threads make the model's small products slower, and have to be ruled out before numpy is imported
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    _repair_standard_streams()
    log_to_standard_error()
    status = 1
    try:
        discard_native_output()
        with signals_raised(), _native_messages_hidden():
            status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt, ImportError) as error:
        # a C library whose initialisation a signal interrupts says that it cannot be imported
        interrupted = _interruption_behind(error)
        if interrupted is None:
            raise
        _discard(_STANDARD_OUTPUT)  # what nobody reads must not hold the end up
        _complain(str(interrupted))
        status = interrupted.exit_status
    except MoodringError as error:
        _complain(str(error))
    except OSError as error:
        # a full disk below standard output, above all
        _discard(_STANDARD_OUTPUT)
        where = "" if error.filename is None else f': "{error.filename}"'
        _complain(f"{error.strerror or error}{where}")
        status = Interrupted(signal.SIGHUP).exit_status if terminal_is_gone(error) else 1
    finally:
        _flush_or_discard()
        lift_limits()
        atexit.register(_collect_once)
        # the last of the callbacks, and so the first to be called: nothing is left that a Ctrl-C could cut short
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def _interruption_behind(error: BaseException) -> Interrupted | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Interrupted):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None if isinstance(error, ImportError) else Interrupted()


def _collect_once() -> None:
    """Search what torch and others leave for garbage now; Python would do so again and again while it ends, for 1 s."""
    gc.collect()
    gc.freeze()


def _complain(text: str) -> None:
    with suppress(OSError):  # there may be no terminal any more
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(_STANDARD_ERROR, select.POLLOUT)
            if not poll.poll(_LONGEST_COMPLAINT * 1000):
                _discard(_STANDARD_ERROR)
        click.echo(f"moodring: {text}", err=True)


def _discard(descriptor: int) -> None:
    """Let what is still buffered not raise again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _flush_or_discard() -> None:
    """Leave nothing that Python could fail to write when it ends, which would change the exit status."""
    for stream, descriptor in ((sys.stdout, _STANDARD_OUTPUT), (sys.stderr, _STANDARD_ERROR)):
        try:
            if not stream.closed:
                stream.flush()
        except OSError:
            _discard(descriptor)


def _repair_standard_streams() -> None:
    """Put the null device where a standard stream was closed, and let no character stop a line from being printed."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


@contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Keep what ALSA and the MP3 decoder print about every oddity away from standard error, but not Python's lines."""
    sys.stderr.flush()
    python_stderr, native_stderr = sys.stderr, os.dup(2)
    # from the first step on: a Ctrl-C in the middle of them would be told to the null device
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        sys.stderr = os.fdopen(native_stderr, "w", buffering=1, errors="backslashreplace", closefd=False)
        yield
    finally:
        os.dup2(native_stderr, 2)
        with suppress(OSError):
            sys.stderr.flush()
        sys.stderr = python_stderr
        os.close(native_stderr)


if __name__ == "__main__":
    main()
