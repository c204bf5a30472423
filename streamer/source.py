"""What every source of audio is: something that yields blocks of samples at its own rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from model.errors import MoodringError
from model.features import FloatArray

LONGEST_WAIT = 0.25
"""Seconds after which a source yields an empty block if nothing came, so that its reader can look around."""

LOWEST_SAMPLE_RATE = 1000
HIGHEST_SAMPLE_RATE = 768000
MOST_CHANNELS = 1024


class SourceError(MoodringError):
    """A source cannot be opened, or broke; the message names it."""


@dataclass(frozen=True)
class Block:
    """Consecutive samples of a source.

    Attributes
    ----------
    samples : ndarray of float32, shape (n, channels)
        Full scale at ±1; n is 0 if no audio came for `LONGEST_WAIT` seconds.
    lost : int
        Samples per channel that were lost just before this block.
    captured : float or None
        System time (UTC seconds) at which the block's last sample had been captured; None if the source does not
        know.
    origin : float or None
        Monotonic time at which the stream's position 0 would have been captured, as the samples until here have it,
        lost ones included; None if the source does not know.
    trouble : str
        Why there are no samples, if the source knows.
    """

    samples: FloatArray
    lost: int = 0
    captured: float | None = None
    origin: float | None = None
    trouble: str = ""


class Source(Protocol):
    """A microphone, a file or a pipe.

    Attributes
    ----------
    name : str
        What messages call it.
    sample_rate : int
        Samples per second of its blocks.
    live : bool
        Audio comes at its own pace and cannot be asked to wait.
    zeros_hint : str
        What it may mean when nothing but exact zeros comes; empty if that is the audio's own business.
    """

    name: str
    sample_rate: int
    live: bool
    zeros_hint: str

    def blocks(self) -> Iterator[Block]:
        """Yield the audio until it ends or `close` is called; raise `SourceError` if it breaks."""
        ...

    def close(self) -> None:
        """Stop; may be called from another thread, and more than once."""
        ...


def validate_format(name: str, sample_rate: int, channels: int) -> None:
    """Refuse rates and channel counts that no recording has.

    Parameters
    ----------
    name : str
        What the message calls the source.
    sample_rate, channels : int
        What it claims.

    Raises
    ------
    SourceError
        If one is out of its range.
    """
    if not LOWEST_SAMPLE_RATE <= sample_rate <= HIGHEST_SAMPLE_RATE:
        raise SourceError(
            f"{name} has {sample_rate} samples per second; {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE} can be tracked"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise SourceError(f"{name} has {channels} channels; 1 to {MOST_CHANNELS} can be tracked")
