"""The command `moodring report`: what it writes, of which files, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.composer import SECTIONS
from tests.conftest import Outcome
from tests.streamer.dashboards import MOODRING, wait_for

Moodring = Callable[..., Outcome]
RATE = 22050


class Page(HTMLParser):
    """What a page says, and what it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._inside: list[str] = []
        self.content = path.read_text(encoding="utf-8")
        self.feed(self.content)
        self.data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', self.content)[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.text += data + " "


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate)
    return path


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_page_says_all_of_a_song(moodring: Moodring, song: Path, tmp_path: Path) -> None:
    outcome = moodring("report", song, "-o", tmp_path / "song.html")
    assert outcome.status == 0, outcome.errors
    assert re.fullmatch(r"\S+song\.html   1:00, \w+, 4 sections\n", outcome.output)
    assert left_over(tmp_path) == ["song.html"]
    page = Page(tmp_path / "song.html")
    assert page.addresses == ["data:,"]
    assert not re.search(r"https?://|@import|url\(", page.content)
    for words in (
        "On the whole, the music is",
        "Valence",
        "Arousal",
        "two thirds of listeners",
        "Sections of like mood",
    ):
        assert words in page.text
    assert len(page.data["valence"]) == 120
    starts = page.data["sections"]
    assert starts[0] == 0
    # the four sections of the piece: a change is heard within the next ten seconds
    for section, start in zip(SECTIONS[1:], starts[1:], strict=True):
        assert -2 <= start - section.start <= 10
    assert len(page.content) < 150_000


def test_the_values_are_those_of_annotate_three_seconds_later(moodring: Moodring, song: Path, tmp_path: Path) -> None:
    assert moodring("report", song, "-o", tmp_path / "song.html", "--quiet").output == ""
    rows = [line.split(",") for line in moodring("annotate", song, "--quiet").output.splitlines()[1:]]
    data = Page(tmp_path / "song.html").data
    for at in (0, 40, 100):
        assert data["valence"][at] / 100 == pytest.approx(float(rows[at + 6][2]), abs=0.0051)
        assert data["arousal"][at] / 100 == pytest.approx(float(rows[at + 6][3]), abs=0.0051)
        assert data["loudness"][at] == pytest.approx(float(rows[at][7]), abs=0.56)
    assert data["valence"][-1] / 100 == pytest.approx(float(rows[-1][2]), abs=0.0051)


def test_a_real_recording(moodring: Moodring, recording: Path, tmp_path: Path) -> None:
    assert moodring("report", recording, "-o", tmp_path / "page.html").status == 0
    assert "0:45" in Page(tmp_path / "page.html").text


HOSTILE = "<script>alert(1)<&\"'${data} $name.wav"


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_a_name_is_text_and_nothing_else(moodring: Moodring, tmp_path: Path) -> None:
    song = write(tmp_path / HOSTILE, 0.1 * np.random.default_rng(1).standard_normal(3 * RATE))
    assert moodring("report", song, "-o", tmp_path / "page.html").status == 0
    page = Page(tmp_path / "page.html")
    assert page.tags.count("script") == 2
    assert HOSTILE in page.text
    odd = tmp_path / os.fsdecode(b"no\xfftext\n\x1b.wav")
    song.rename(odd)
    assert moodring("report", odd, "-o", tmp_path / "page.html").status == 0
    assert "no\\udcfftext  .wav" in Page(tmp_path / "page.html").text


def test_silence_is_said_to_be_silence(moodring: Moodring, tmp_path: Path) -> None:
    song = write(tmp_path / "quiet.wav", np.zeros(15 * RATE))
    outcome = moodring("report", song, "-o", tmp_path / "page.html")
    assert outcome.status == 0
    assert "0:15, silence, 1 section" in outcome.output
    page = Page(tmp_path / "page.html")
    assert "There is nothing but silence in this file" in page.text
    assert set(page.data["valence"]) == {None}


def test_silence_within_music_is_counted(moodring: Moodring, tmp_path: Path) -> None:
    music = 0.1 * np.random.default_rng(1).standard_normal(20 * RATE)
    song = write(tmp_path / "gap.wav", np.concatenate([music, np.zeros(20 * RATE), music]))
    assert "3 sections" in moodring("report", song, "-o", tmp_path / "page.html").output
    page = Page(tmp_path / "page.html")
    # a rest of two seconds is music still
    assert page.data["sections"] == [0, pytest.approx(21.5, abs=1), 40]
    assert re.search(r"18\.5 seconds of 1:00 is silence and for \S+ seconds the model had not heard enough", page.text)


def test_a_second_of_music_is_enough(moodring: Moodring, tmp_path: Path) -> None:
    song = write(tmp_path / "short.wav", 0.1 * np.random.default_rng(1).standard_normal(int(1.2 * RATE)))
    assert moodring("report", song, "-o", tmp_path / "page.html").status == 0
    page = Page(tmp_path / "page.html")
    assert len(page.data["valence"]) == 2
    assert "the model had not heard enough" in page.text


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("none.wav", None, 'there is no file ".*none.wav"'),
        ("empty.wav", b"", '".*empty.wav" is empty'),
        ("text.wav", b"hello", '".*text.wav" is not audio that libsndfile reads'),
        ("short.wav", np.ones(int(0.3 * RATE)) / 4, '".*short.wav" is shorter than one frame'),
    ],
)
def test_what_is_no_music_is_named_and_nothing_written(
    moodring: Moodring, tmp_path: Path, name: str, content: bytes | np.ndarray | None, complaint: str
) -> None:
    song = tmp_path / name
    if isinstance(content, bytes):
        song.write_bytes(content)
    elif content is not None:
        write(song, content)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "page.html").write_text("of yesterday")
    outcome = moodring("report", song, "-o", tmp_path / "out" / "page.html")
    assert outcome.status == 1
    assert re.fullmatch(f"moodring: {complaint}.*\n", outcome.errors)
    assert left_over(tmp_path / "out") == ["page.html"]
    assert (tmp_path / "out" / "page.html").read_text() == "of yesterday"


def test_a_truncated_file_is_reported_up_to_the_break(moodring: Moodring, piece: np.ndarray, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.flac", piece, 44100)
    content = whole.read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    outcome = moodring("report", tmp_path / "cut.flac", "-o", tmp_path / "page.html")
    assert outcome.status == 1
    assert re.fullmatch(r'moodring: ".*cut.flac" is truncated or damaged: it breaks off after .*\n', outcome.errors)
    page = Page(tmp_path / "page.html")
    assert "This is a report of what could be read" in page.text
    assert "is truncated or damaged: it breaks off after" in page.text
    assert 20 < len(page.data["valence"]) < 110


def test_several_files_go_into_a_folder(moodring: Moodring, song: Path, tmp_path: Path) -> None:
    noise = write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(1).standard_normal(3 * RATE))
    outcome = moodring("report", song, tmp_path / "none.wav", noise, "-o", f"{tmp_path / 'reports'}/")
    assert outcome.status == 1
    assert re.fullmatch(r'moodring: there is no file ".*none.wav"\n', outcome.errors)
    assert left_over(tmp_path / "reports") == ["noise.wav.html", "song.wav.html"]
    assert outcome.output.count("\n") == 2


@pytest.mark.parametrize(
    ("files", "output", "complaint"),
    [
        (["a.wav"], "page.txt", "cannot tell the format of"),
        (["a.wav", "b.wav"], "page.html", "is one file; for 2 reports, name a folder"),
        (["a.wav"], "nowhere/page.html", "there is no folder"),
        (["a.wav", "b/a.wav"], "reports/", "would both be"),
    ],
)
def test_where_no_report_can_go_is_said_at_once(
    moodring: Moodring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], output: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = moodring("report", *files, "-o", output)
    assert outcome.status == 1
    assert complaint in outcome.errors
    assert outcome.errors.count("\n") == 1
    assert left_over(tmp_path) == []


def test_an_existing_folder_is_where_reports_go(moodring: Moodring, song: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    assert moodring("report", song, "-o", tmp_path / "page.html").status == 0
    assert left_over(tmp_path / "page.html") == ["song.wav.html"]


def test_a_full_disk_leaves_what_was_there(song: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files")
    page = tmp_path / "page.html"
    page.write_text("of yesterday")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [*MOODRING, "report", str(song), "-o", str(page)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, preexec_fn=limit)
    assert ended.returncode == 1
    assert ended.stderr == f'moodring: cannot write "{page}": File too large\n'
    assert left_over(tmp_path) == ["page.html"]
    assert page.read_text() == "of yesterday"


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("asks Linux what a process has open")
    long = tmp_path / "long.wav"
    with soundfile.SoundFile(long, "w", RATE, 1) as file:
        block = 0.1 * np.random.default_rng(1).standard_normal(60 * RATE)
        for _ in range(60):
            file.write(block)
    folder = tmp_path / "out"
    folder.mkdir()
    command = [*MOODRING, "report", str(long), "-o", str(folder / "page.html")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def reads() -> bool:
        opened = Path(f"/proc/{process.pid}/fd").iterdir()
        return any(os.path.realpath(one) == str(long.resolve()) for one in opened)

    wait_for(reads, "the file being read")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "moodring: interrupted\n"
    assert left_over(folder) == []


def test_a_picture(moodring: Moodring, song: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    image = pytest.importorskip("PIL.Image", reason="looks into a PNG file")
    for name in ("one.png", "other.png"):
        outcome = moodring("report", song, "-o", tmp_path / name)
        assert outcome.status == 0, outcome.errors
        assert outcome.errors == ""
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    picture = image.open(tmp_path / "one.png").convert("RGB")
    assert picture.size == (1920, 1200)
    assert len(picture.getcolors(1 << 21)) > 500


def test_a_picture_of_what_has_no_letters_and_no_music(moodring: Moodring, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    song = write(tmp_path / "静か$x^2$.wav", np.zeros(2 * RATE))
    outcome = moodring("report", song, "-o", tmp_path / "page.png")
    assert outcome.status == 0
    assert outcome.errors == ""


def test_a_picture_without_matplotlib_says_what_to_install(song: Path, tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["matplotlib"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
sys.argv = ["moodring", "report", {str(song)!r}, "-o", {str(tmp_path / "page.png")!r}]
from streamer.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        'moodring: a picture needs matplotlib: pip install "moodring[plots]"; a page (.html) needs nothing\n'
    )
    assert left_over(tmp_path) == []


def test_help_shows_examples(moodring: Moodring) -> None:
    assert "moodring report song.mp3 -o song.html" in moodring("report", "--help").output
