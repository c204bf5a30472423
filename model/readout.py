"""Which of what was heard an estimate at a lag is made from."""

from __future__ import annotations


def readout(frames: int, window: int, lag: int) -> tuple[int, slice]:
    """Choose the window and the outputs that describe the frame `lag` frames before the newest one.

    At lag 0 these are all of the window's outputs, because the newest frame is where a bidirectional recurrence knows
    least. At a lag they are those that lie evenly around that frame, in a window that ends as soon as that frame is in
    its middle.

    Parameters
    ----------
    frames : int
        Frames so far.
    window : int
        Frames that the CRNN hears at once.
    lag : int
        Frames to look back, fewer than `frames`.

    Returns
    -------
    unheard : int
        Newest frames that the window leaves out.
    described : slice
        Of the window's outputs.
    """
    unheard = max(0, lag - window // 2)
    outputs = min(window, frames - unheard)
    if lag == 0:
        return unheard, slice(0, outputs)
    middle = outputs - 1 - (lag - unheard)
    reach = min(lag - unheard, middle)
    return unheard, slice(middle - reach, middle + reach + 1)


def unheard_by_summary(window: int, lag: int) -> int:
    """Say how many of the newest frames a summary without a CRNN leaves out at a lag.

    Statistics of a window describe best what was heard a third of the window before its end, as was measured (3 s of
    10 s; "Lag" in training/RESULTS.md), so a longer lag does not help: the window ends there.

    Parameters
    ----------
    window : int
        Frames of the window.
    lag : int
        Frames to look back.

    Returns
    -------
    int
    """
    return max(0, lag - window // 3)
