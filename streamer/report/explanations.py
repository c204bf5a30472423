"""What a reader has to know to take a report for what it is, in plain text."""

from __future__ import annotations

from streamer.report.curve import HINDSIGHT, Hearing
from streamer.report.sections import SHORTEST
from streamer.report.summary import Summary
from streamer.report.wording import length_text


def explanations(hearing: Hearing, summary: Summary) -> list[str]:
    """Return paragraphs on valence and arousal, their uncertainty, time, sections and the model.

    Parameters
    ----------
    hearing : Hearing
        What was heard of a file.
    summary : Summary
        The same in numbers.

    Returns
    -------
    list of str
    """
    paragraphs = [
        "Valence says how pleasant music sounds (−1 unpleasant, +1 pleasant), arousal how excited (−1 calm, +1 "
        "excited). Both are what listeners were found to hear in such music; they say nothing about what anybody in a "
        "room feels. Estimates keep to the middle: a move of 0.2 is a real change of mood, and ±1 is hardly ever "
        "reached. Arousal is reliable, valence less so.",
        f"Each moment is described by the estimate made {HINDSIGHT:g} seconds later, which is made from the "
        f"{hearing.window:g} seconds before it above all. So the curves are smooth, and a change shows some seconds "
        "late; until so much has been heard, the model is warming up and its estimates are first guesses.",
        f"A section is a stretch of at least {SHORTEST:g} seconds that keeps to one mood. The borders lie where the "
        "two curves together change their level by more than they waver anyway (optimal partitioning, with a penalty "
        "after the Bayesian information criterion); take them as right to some seconds.",
        "The word for a mood is its place on the circumplex of J. A. Russell (1980): the direction says which feeling, "
        "the distance from the centre how strong. The waveform is drawn to its largest peak; loudness is the level of "
        "the file (root mean square, 0 dB is full scale), and does not change the estimates.",
    ]
    if summary.valence is not None and summary.valence.std is not None:
        uncertainty = (
            "The shaded bands, and the numbers after ±, are the uncertainty: about two thirds of listeners’ ratings of "
            "a moment lie within them, and nearly all within twice as much."
        )
        paragraphs.insert(1, uncertainty)
    if hearing.curve.step > hearing.frame_duration:
        paragraphs.insert(2, f"This file is long: each point is the mean of {length_text(hearing.curve.step)}.")
    return paragraphs


def notes(hearing: Hearing) -> list[str]:
    """Return what was wrong with the file, if anything."""
    found = []
    if hearing.problem:
        found.append(f"This is a report of what could be read: {hearing.problem}.")
    if hearing.invalid:
        found.append(f"{hearing.invalid} samples were not finite numbers, and were taken as silence.")
    return found
