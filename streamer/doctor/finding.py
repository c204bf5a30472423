"""What an examination comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from model.errors import MoodringError

Verdict = Literal["ok", "note", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject : str
        What.
    verdict : {'ok', 'note', 'warning', 'failure'}
        `note`: neither good nor bad. `warning`: something does not work that others can do without. `failure`: nothing
        can be tracked.
    text : str
        What was found.
    remedy : str
        What to do about it; may be empty, and have several lines.
    details : dict
        The same for programs, ready for JSON.
    """

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def examined(subject: str, examination: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Examine, and let what breaks be a finding.

    Parameters
    ----------
    subject : str
        What is examined.
    examination : callable
        Gives its findings.

    Yields
    ------
    Finding
    """
    try:
        yield from examination()
    except MoodringError as error:
        yield Finding(subject, "failure", str(error))
    except Exception as error:  # whatever it is: to find what is broken is what this is for
        yield Finding(
            subject,
            "failure",
            f"{type(error).__name__}: {error}",
            "install moodring again, in a new virtual environment",
        )
