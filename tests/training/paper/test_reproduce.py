"""`moodring reproduce` on five clips of DEAM, laid out as DEAM is unpacked."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("librosa", reason="training needs librosa (pip install moodring[train])")
pytest.importorskip("matplotlib", reason="plots need matplotlib (pip install moodring[plots])")

from tests.conftest import LABELLED_MUSIC, REPOSITORY, Outcome
from tests.training.conftest import write_table
from training.paper.configuration import configure, write_toml
from training.paper.material import read_labels
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.running import make_request
from training.paper.scores import yardsticks
from training.paper.songs import hold_out

Moodring = Callable[..., Outcome]

DYNAMIC = Path("annotations/annotations averaged per song/dynamic (per second annotations)")
DEVELOPMENT, EVALUATION = ("2", "4", "7"), ("10", "13")
PLOTS = {"crnn-curves.png", "crnn-songs.png", "sequence-length.png"}


@pytest.fixture(scope="module")
def deam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give DEAM's official tree with five clips, and files with the ids of both parts."""
    source, folder = LABELLED_MUSIC / "emomusic", tmp_path_factory.mktemp("deam")
    if not (source / "audio" / "2.mp3").is_file():
        pytest.skip(f"no labelled music in {LABELLED_MUSIC}; set MOODRING_DATA to where it is")
    (folder / DYNAMIC).mkdir(parents=True)
    (folder / "MEMD_audio").mkdir()
    for name in ("arousal", "valence"):
        with (source / f"{name}_cont_average.csv").open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        write_table(
            folder / DYNAMIC / f"{name}.csv", [[*header], *([*r] for r in rows if r[0] in DEVELOPMENT + EVALUATION)]
        )
    for song in DEVELOPMENT + EVALUATION:
        shutil.copyfile(source / "audio" / f"{song}.mp3", folder / "MEMD_audio" / f"{song}.mp3")
    (folder / "development.txt").write_text("\n".join(DEVELOPMENT))
    (folder / "evaluation.txt").write_text("\n".join(EVALUATION))
    return folder


@pytest.fixture(scope="module")
def given(deam: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Give the options that every command here needs; features are computed once."""
    ids = ["--development-ids", deam / "development.txt", "--evaluation-ids", deam / "evaluation.txt"]
    return ["--data", deam, *ids, "--cache", tmp_path_factory.mktemp("cache")]


def rows_of(tables: str, section: str) -> dict[str, list[str]]:
    """Return the rows of a section of the only table 1 in some markdown, by their first cell."""
    lines = tables[tables.index("## Table 1") :].splitlines()
    start = next(i for i, line in enumerate(lines) if f"**{section}**" in line)
    rows: dict[str, list[str]] = {}
    for line in lines[start + 1 :]:
        if not line.startswith("| ") or "**" in line:
            break
        first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        rows[first] = rest
    return rows


def files_of(folder: Path) -> Mapping[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / "runs").iterdir()}


def printed_tables(outcome: Outcome) -> str:
    return outcome.output[outcome.output.index("Table 1") :]


SECTIONS = ("evaluation, averaged over songs", "evaluation, pooled over frames", "validation, averaged over songs")


def test_a_table_is_reproduced_once(moodring: Moodring, given: list[object], tmp_path: Path) -> None:
    command = ["reproduce", *given, "-o", tmp_path / "out", "--table", "1b", "--runs", 2, "--epochs", 2]
    done = moodring(*command, "--jobs", 2)
    assert done.status == 0, done.errors
    assert done.errors == ""
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert text.count("## Table") == 1
    for section in SECTIONS:
        rows = rows_of(text, section)
        assert list(rows) == [*map(str, SEQUENCE_LENGTHS), "mean predictor", "song-mean oracle"]
        for length in map(str, SEQUENCE_LENGTHS):
            valence, arousal, average, _, runs = rows[length]
            assert runs == "2"
            for cell in (valence, arousal, average):
                mean, deviation = cell.split(" ± ")
                assert 0 < float(mean) < 1
                assert 0 < float(deviation) < 1
    assert [rows_of(text, SECTIONS[0])[str(n)][3] for n in SEQUENCE_LENGTHS] == ["0.264", "0.260", "0.259", "0.258"]
    assert "of other songs" in text
    for name in PLOTS:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    before = files_of(tmp_path / "out")
    assert sorted(Path(name).suffix for name in before) == [".json"] * 8 + [".npy"] * 8

    again = moodring(*command, "--jobs", 1)
    assert again.status == 0, again.errors
    assert files_of(tmp_path / "out") == before
    assert printed_tables(again) == printed_tables(done)
    assert (tmp_path / "out" / "tables.md").read_text(encoding="utf-8") == text

    # more are trained beside what is there
    assert moodring(*command, "--runs", 3, "--jobs", 1).status == 0
    after = files_of(tmp_path / "out")
    assert len(after) == 24
    assert before.items() <= after.items()


def test_opensmiles_features_and_settings_of_a_file(
    moodring: Moodring, deam: Path, given: list[object], tmp_path: Path
) -> None:
    pytest.importorskip("opensmile", reason="the baseline features need opensmile (pip install moodring[opensmile])")
    write_toml(tmp_path / "a.toml", configure({"validation_share": 0.5, "dropout": 0.25}))
    command = ["reproduce", *given, "-o", tmp_path / "out", "--table", "1a", "--runs", 1, "--epochs", 2, "--jobs", 1]
    done = moodring(*command, "--config", tmp_path / "a.toml")
    assert done.status == 0, done.errors
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    evaluation = rows_of(text, SECTIONS[0])
    assert [evaluation[str(n)][3] for n in SEQUENCE_LENGTHS] == ["0.242", "0.236", "0.235", "0.235"]
    assert all(0 < float(evaluation[str(n)][0]) < 1 for n in SEQUENCE_LENGTHS)

    # the validation songs' yardsticks are of the songs that were held out
    request = make_request(deam, "mediaeval2015", deam / "development.txt", deam / "evaluation.txt")
    labels = read_labels(request, Console(file=StringIO())).development
    training, held_out = hold_out(labels, 0.5)
    assert len(held_out) == 2
    known = yardsticks([song.labels for song in training], [song.labels for song in held_out]).mean_predictor
    valence = rows_of(text, SECTIONS[2])["mean predictor"][0]
    assert float(valence) == pytest.approx(known.song_averaged_rmse.valence, abs=6e-4)


def test_an_interrupted_series_goes_on_as_if_it_had_not_been(
    moodring: Moodring, given: list[object], tmp_path: Path
) -> None:
    write_toml(tmp_path / "a.toml", configure({"batch_size": 4, "patience": 15, "epochs": 15}))
    command = ["reproduce", *given, "--config", tmp_path / "a.toml", "--table", "1b", "--runs", 1]
    program = [sys.executable, "-m", "streamer.cli", *map(str, command), "-o", str(tmp_path / "out"), "--jobs", "2"]
    with subprocess.Popen(program, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        for _ in range(1200):
            if list(tmp_path.glob("out/runs/*.state/*.safetensors")):
                break
            try:
                run.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"it ended too early: {run.communicate()}")
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.strip() == "moodring: interrupted"
    assert not (tmp_path / "out" / "tables.md").exists()
    assert list(tmp_path.glob("out/runs/*.state")), "nothing was left to go on with"

    resumed = moodring(*command, "-o", tmp_path / "out", "--jobs", 1)
    whole = moodring(*command, "-o", tmp_path / "whole", "--jobs", 1)
    assert (resumed.status, whole.status) == (0, 0), resumed.errors
    assert not list(tmp_path.glob("out/runs/*.state"))
    tables = [(tmp_path / name / "tables.md").read_text(encoding="utf-8") for name in ("out", "whole")]
    assert tables[0] == tables[1]
    curves = [
        sorted((p.name, p.read_bytes()) for p in tmp_path.glob(f"{name}/runs/*.npy")) for name in ("out", "whole")
    ]
    assert len(curves[0]) == 4
    assert curves[0] == curves[1]


def test_labels_alone_give_the_yardsticks(moodring: Moodring, tmp_path: Path) -> None:
    for name in ("valence.csv", "arousal.csv"):
        header = ["song_id", *(f"sample_{15000 + 500 * i}ms" for i in range(4))]
        sign = 1 if name == "valence.csv" else -1
        rows = [[song, *[sign * value] * 4] for song, value in (("1", 0.1), ("2", 0.3), ("3", 0.4), ("4", 0.6))]
        write_table(tmp_path / name, [header, *rows])  # type: ignore[list-item]
    (tmp_path / "development.txt").write_text("1\n2\n")
    (tmp_path / "evaluation.txt").write_text("3\n4\n")
    ids = ["--development-ids", tmp_path / "development.txt", "--evaluation-ids", tmp_path / "evaluation.txt"]
    done = moodring("reproduce", "--data", tmp_path, *ids, "-o", tmp_path / "out", "--jobs", 1)
    assert done.status == 0, done.errors
    assert "nothing was trained" in done.output
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    rows = rows_of(text, SECTIONS[0])
    # 0.2 is the mean of what is known; 0.4 and 0.6 are to be said
    assert rows["mean predictor"][:3] == ["0.300", "0.300", "0.300"]
    assert rows["song-mean oracle"][:3] == ["0.000", "0.000", "0.000"]
    assert [rows[str(n)][0] for n in SEQUENCE_LENGTHS] == ["–"] * 4
    assert "0.279, 0.231, 0.255; 17 k" in text
    assert not list((tmp_path / "out").glob("*.png"))


def test_the_papers_own_labels_give_its_mean_predictor(moodring: Moodring, tmp_path: Path) -> None:
    folder = LABELLED_MUSIC / "mediaeval2015"
    if not folder.is_dir():
        pytest.skip(f"no labels in {folder}; set MOODRING_DATA to the folder above")
    done = moodring("reproduce", "--data", folder, "-o", tmp_path / "out", "--jobs", 1)
    assert done.status == 0, done.errors
    assert "nothing was trained" in done.output
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    valence, arousal, *_ = rows_of(text, SECTIONS[0])["mean predictor"]
    assert (valence, arousal) == ("0.265", "0.254")
    for papers in ("0.242", "0.258", "0.267", "0.285, 0.225, 0.255; 12 M", "which of them it used is not known here"):
        assert papers in text


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--table", "3"], 2, "'3' is not one of"),
        (["--runs", "0"], 2, "0 is not in the range"),
        (["--features", "mfcc"], 2, "'mfcc' is not one of"),
        (["--data", "none"], 1, 'there is no folder "none"'),
        (["--development-ids", "none"], 1, 'cannot read "none"'),
        (["--config", "none"], 1, 'cannot read "none"'),
        (["--output", os.devnull], 1, "cannot make the folder"),
    ],
)
def test_what_cannot_be_reproduced_is_one_line(
    moodring: Moodring, tmp_path: Path, options: list[str], status: int, said: str
) -> None:
    for name in ("valence.csv", "arousal.csv"):
        write_table(tmp_path / name, [["song_id", "sample_15000ms"], ["1", 0.1], ["2001", 0.1]])
    ids = tmp_path / "ids.txt"
    ids.write_text("1\n")
    done = moodring("reproduce", "--data", tmp_path, "--development-ids", ids, "-o", tmp_path / "out", *options)
    assert done.status == status
    *before, line = done.errors.strip().splitlines()
    assert said in line
    assert status == 2 or not before
    assert not (tmp_path / "out").exists()
