"""Moods as subtitles, for players and video editors: SubRip (.srt), WebVTT (.vtt) and LRC (.lrc, lyrics).

Sources: SubRip as the Library of Congress describes it (fdd000569); "WebVTT: The Web Video Text Tracks Format" (W3C);
LRC as players read it, ``[mm:ss.xx]`` before each line, an empty line where nothing is to be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Protocol

from streamer.cues import Cue, CueMaker

if TYPE_CHECKING:
    from streamer.table import Row


class _Format(Protocol):
    def begin(self) -> str: ...

    def show(self, cue: Cue) -> str: ...

    def end(self) -> str: ...


class _SubRip:
    def __init__(self) -> None:
        self._cues = 0

    def begin(self) -> str:
        return ""

    def show(self, cue: Cue) -> str:
        self._cues += 1
        return f"{self._cues}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_text(cue)}\n\n"

    def end(self) -> str:
        return ""


class _WebVTT:
    def begin(self) -> str:
        return "WEBVTT\n\n"

    def show(self, cue: Cue) -> str:
        return f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_text(cue)}\n\n"

    def end(self) -> str:
        return ""


class _Lyrics:
    def __init__(self) -> None:
        self._shown_until: float | None = None

    def begin(self) -> str:
        return ""

    def show(self, cue: Cue) -> str:
        silence = self.end() if self._shown_until != cue.start else ""
        self._shown_until = cue.end
        return f"{silence}{_tag(cue.start)}{_text(cue)}\n"

    def end(self) -> str:
        return "" if self._shown_until is None else f"{_tag(self._shown_until)}\n"


FORMATS: dict[str, type[_SubRip | _WebVTT | _Lyrics]] = {".srt": _SubRip, ".vtt": _WebVTT, ".lrc": _Lyrics}
"""By file name ending."""


class SubtitleWriter:
    """Writes the rows of one file as subtitles.

    Parameters
    ----------
    file : binary file
        Opened for writing; is left open.
    suffix : str
        A key of `FORMATS`.
    lag : float
        Seconds to look back that the rows were made with: a cue is shown when it sounds like that.
    """

    def __init__(self, file: IO[bytes], suffix: str, lag: float) -> None:
        self._text = TextIOWrapper(file, encoding="utf-8", newline="")
        self._format: _Format = FORMATS[suffix]()
        self._cues = CueMaker(lag)
        self._text.write(self._format.begin())

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, as `streamer.table.row_of` makes them."""
        for _, position, valence, arousal, *_ in rows:
            for cue in self._cues.push(position, valence, arousal):
                self._text.write(self._format.show(cue))

    def finish(self) -> None:
        """Write the end."""
        for cue in self._cues.finish():
            self._text.write(self._format.show(cue))
        self._text.write(self._format.end())
        self._text.flush()
        self._text.detach()


def _text(cue: Cue) -> str:
    valence, arousal = (round(value, 2) + 0.0 for value in (cue.valence, cue.arousal))  # the sum turns -0.0 into 0.0
    return f"{cue.word}  valence {valence:+.2f}  arousal {arousal:+.2f}"


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{milliseconds:03}"


def _tag(seconds: float) -> str:
    whole, hundredths = divmod(round(seconds * 100), 100)
    return f"[{whole // 60:02}:{whole % 60:02}.{hundredths:02}]"
