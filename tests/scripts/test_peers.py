"""The benchmark of other predictors: its folds, its fits, and how it talks to their programs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="the maps are scikit-learn's (pip install moodring[train])")

from scripts.benchmarks.peers import fitting, hearing
from scripts.benchmarks.peers.compare import PREDICTORS, main, some, table
from scripts.benchmarks.peers.environments import MUSICNN, VIBENET, Peer, environment_python
from scripts.benchmarks.peers.hearing import Decoder, Heard, PeerExtractor, PeerProcess
from tests.conftest import REPOSITORY
from training.clips import DEVELOPMENT, EVALUATION, Clip, DynamicLabels, SignLabels, StaticLabels, fold_of
from training.feature_cache import ExtractorCache
from training.figures.measuring import measure
from training.tables import DataError

COLUMNS = range(4)
MIX = np.array([[0.1, -0.05], [0.05, 0.1], [-0.08, 0.08], [0.0, 0.05]])
"""What the made-up labels are of the made-up numbers."""


def made_up(seed: int, patches: int = 6) -> Heard:
    rows = np.random.default_rng(seed).standard_normal((patches, 4)).astype(np.float32)
    return Heard(3.0 * patches, rows.mean(axis=0), np.arange(1, patches + 1, dtype=np.float32) * 3, rows)


def static_clip(i: int, heard: Heard) -> Clip:
    valence, arousal = heard.whole @ MIX
    return Clip("emotify", str(i), f"song {i}", Path(f"{i}.wav"), DEVELOPMENT, StaticLabels(valence, arousal))


def sign_clip(i: int, heard: Heard, dataset: str = "4q", part: str = DEVELOPMENT) -> Clip:
    valence, arousal = (1 if value > 0 else -1 for value in heard.whole @ MIX)
    return Clip(dataset, str(i), f"artist {i // 2}", Path(f"{i}.wav"), part, SignLabels(valence, arousal))


def dynamic_clip(i: int, heard: Heard) -> Clip:
    frames = round(heard.duration / 0.5)
    ended = fitting.patches_ended(heard, frames)
    values = (fitting.running_means(heard.patches)[np.maximum(ended, 1) - 1] @ MIX).astype(np.float32)
    labels = DynamicLabels(np.arange(1, frames + 1) * 0.5, values)
    return Clip("vgmidi", str(i), f"song {i}", Path(f"{i}.mid"), DEVELOPMENT, labels)


@pytest.fixture(scope="module")
def heard() -> list[Heard]:
    return [made_up(seed) for seed in range(40)]


def test_every_clip_is_held_out_once_and_never_beside_its_own_group(heard: list[Heard]) -> None:
    clips = [sign_clip(i, one) for i, one in enumerate(heard)]
    splits = fitting.splits(clips)
    assert sorted(i for _, held_out in splits for i in held_out) == list(range(len(clips)))
    for training, held_out in splits:
        assert not {clips[i].group for i in training} & {clips[i].group for i in held_out}
        assert sorted(training + held_out) == list(range(len(clips)))


def test_emopia_keeps_its_own_split(heard: list[Heard]) -> None:
    parts = [EVALUATION if i % 4 == 0 else DEVELOPMENT for i in range(40)]
    clips = [sign_clip(i, one, "emopia", parts[i]) for i, one in enumerate(heard)]
    assert fitting.splits(clips) == [([i for i in range(40) if i % 4], list(range(0, 40, 4)))]
    assert list(fitting.tracks_of(clips, heard, COLUMNS)) == [str(i) for i in range(0, 40, 4)]


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(1, 60))
def test_a_patch_counts_from_the_first_frame_that_ends_no_earlier(lengths: list[int], frames: int) -> None:
    ends = np.cumsum(lengths) / 8
    rows = np.zeros((len(ends), 1), dtype=np.float32)
    ended = fitting.patches_ended(Heard(99.0, np.zeros(1, np.float32), ends.astype(np.float32), rows), frames)
    assert ended.tolist() == [sum(end <= (i + 1) * 0.5 for end in ends) for i in range(frames)]


def test_static_labels_are_recovered_and_said_of_every_frame(heard: list[Heard]) -> None:
    clips = [static_clip(i, one) for i, one in enumerate(heard)]
    tracks = fitting.tracks_of(clips, heard, COLUMNS)
    assert list(tracks) == [clip.name for clip in clips]
    for clip, one in zip(clips, heard, strict=True):
        values = tracks[clip.name].values
        assert values.shape == (36, 2)
        np.testing.assert_allclose(values, np.tile(one.whole @ MIX, (36, 1)), atol=0.02)


def test_signs_come_with_zero_between_them(heard: list[Heard]) -> None:
    clips = [sign_clip(i, one) for i, one in enumerate(heard)]
    tracks = fitting.tracks_of(clips, heard, COLUMNS)
    figures = measure({"4q": tracks}, {"4q": clips}, resamples=10)[0]
    assert all(np.abs(track.values).max() <= 1 for track in tracks.values())
    assert min(figures.find("AUC", dimension).value for dimension in ("valence", "arousal")) > 0.9
    assert figures.find("quadrant accuracy").value > 0.7


def test_time_continuous_labels_are_recovered(heard: list[Heard]) -> None:
    clips = [dynamic_clip(i, one) for i, one in enumerate(heard)]
    tracks = fitting.tracks_of(clips, heard, COLUMNS)
    for clip in clips:
        assert isinstance(clip.labels, DynamicLabels)
        np.testing.assert_allclose(tracks[clip.name].values[5:], clip.labels.values[5:], atol=0.02)


def test_nothing_is_said_before_it_was_heard() -> None:
    columns, first = range(2), made_up(1)
    later = Heard(first.duration, first.whole + 1, first.ends, first.patches.copy())
    later.patches[3:] += 5
    others = [made_up(seed) for seed in range(2, 30)]
    clips = [dynamic_clip(i, one) for i, one in enumerate([first, *others])]
    a, b = (fitting.tracks_of(clips, [one, *others], columns)["0"].values for one in (first, later))
    changed = int(3.0 * 4 / 0.5) - 1
    assert (a[:changed] == b[:changed]).all()
    assert (a[changed:] != b[changed:]).any(axis=1).all()


def test_before_the_first_patch_it_is_the_training_labels_mean(heard: list[Heard]) -> None:
    clips = [dynamic_clip(i, one) for i, one in enumerate(heard)]
    examples = [fitting.examples_of(clip, one, COLUMNS) for clip, one in zip(clips[1:], heard[1:], strict=True)]
    mapped = fitting.fit(fitting.Examples.joined(examples), signs=False)
    said = fitting.track(mapped, clips[0], heard[0], COLUMNS).values
    mean = np.concatenate([clip.labels.values[5:] for clip in clips[1:]]).mean(axis=0)  # type: ignore[union-attr]
    np.testing.assert_allclose(said[:5], np.tile(mean, (5, 1)), atol=1e-5)


def test_a_clips_own_labels_and_its_folds_play_no_part_in_its_track(heard: list[Heard]) -> None:
    clips = [static_clip(i, one) for i, one in enumerate(heard)]
    fold = fold_of(clips[0].group)
    other = [
        Clip(c.dataset, c.name, c.group, c.source, c.part, StaticLabels(0.9, -0.9)) if fold_of(c.group) == fold else c
        for c in clips
    ]
    before, after = (fitting.tracks_of(some_clips, heard, COLUMNS) for some_clips in (clips, other))
    for clip in clips:
        same = (before[clip.name].values == after[clip.name].values).all()
        assert same == (fold_of(clip.group) == fold)


def test_too_few_clips_are_refused(heard: list[Heard]) -> None:
    with pytest.raises(DataError, match="raise --limit"):
        fitting.tracks_of([static_clip(i, one) for i, one in enumerate(heard[:2])], heard[:2], COLUMNS)
    same = [sign_clip(2 * i, heard[0]) for i in range(20)]
    with pytest.raises(DataError, match="only one sign"):
        fitting.tracks_of(same, heard[:20], COLUMNS)


def test_a_limit_spreads_over_all_clips(heard: list[Heard]) -> None:
    clips = [static_clip(i, one) for i, one in enumerate(heard)]
    assert [clip.name for clip in some(clips, 4)] == ["0", "10", "20", "30"]
    assert some(clips, None) == some(clips, 99) == clips


def test_the_table_has_a_column_for_each_predictor(heard: list[Heard]) -> None:
    clips = [static_clip(i, one) for i, one in enumerate(heard)]
    figures = measure({"emotify": fitting.tracks_of(clips, heard, COLUMNS)}, {"emotify": clips}, resamples=10)
    layout = table({"one": figures, "another": figures})
    assert list(layout.columns) == ["", "best constant", "one", "another"]
    assert {len(row) for section in layout.sections for row in section.rows} == {4}


@pytest.mark.parametrize("peer", [VIBENET, MUSICNN], ids=lambda peer: peer.name)
def test_a_peer_is_pinned_and_stands_alone(peer: Peer) -> None:
    assert all(line.count("==") == 1 for line in peer.requirements.read_text().split("\n") if line)
    for node in ast.walk(ast.parse(peer.program.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"model", "streamer", "training", "scripts"}
    columns = [predictor.columns for predictor in PREDICTORS if predictor.peer == peer]
    assert {column for some_columns in columns for column in some_columns} == set(range(peer.numbers))


def test_an_environment_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no pythonless; name one with --python"):
        environment_python(VIBENET, tmp_path, "pythonless")


PROGRAM = """
import json, sys
import soundfile
for line in sys.stdin:
    samples, rate = soundfile.read(line.rstrip())
    if samples.max() > 0.9:
        sys.exit("too loud for me")
    if samples.max() < 0.01:
        print(json.dumps({"error": "nothing to hear"}), flush=True)
    else:
        print(json.dumps({"whole": [1, 2], "ends": [1.5], "patches": [[len(samples), rate]]}), flush=True)
"""


@dataclass(frozen=True)
class ToyPeer(Peer):
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "program.py"

    @property
    def requirements(self) -> Path:
        return self.folder / "program.py"


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ExtractorCache]:
    (tmp_path / "program.py").write_text(PROGRAM)
    for name, level in (("music", 0.5), ("silence", 0.0), ("noise", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", np.full((44100, 2), level), 44100, subtype="FLOAT")
    with PeerProcess(ToyPeer("toy", 2, tmp_path), Path(sys.executable)) as process:
        yield ExtractorCache(tmp_path / "kept", PeerExtractor(process, Decoder(tmp_path)))


def test_a_peer_is_asked_once_for_each_file(
    toy: ExtractorCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Heard.of_rows(toy.load(tmp_path / "music.wav"))
    assert (one.duration, one.whole.tolist(), one.ends.tolist()) == (1.0, [1, 2], [1.5])
    assert one.patches.tolist() == [[16000, 16000]]
    monkeypatch.setattr(hearing, "read_mono", None)
    assert Heard.of_rows(toy.load(tmp_path / "music.wav")).patches.tolist() == one.patches.tolist()


def test_a_file_is_decoded_once_for_all_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(hearing, "read_mono", lambda source, *_: decoded.append(source) or np.zeros(8000))
    decoder = Decoder(tmp_path)
    for source in ("a", "a", "b", "a"):
        assert decoder(Path(source), Path())[1] == 0.5
    assert [source.name for source in decoded] == ["a", "b", "a"]


def test_what_a_peer_cannot_hear_is_named(toy: ExtractorCache, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'toy can make nothing of ".*silence.wav": nothing to hear'):
        toy.load(tmp_path / "silence.wav")
    with pytest.raises(DataError, match=r'toy ended at ".*noise.wav": too loud for me'):
        toy.load(tmp_path / "noise.wav")


def test_the_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value.code).startswith("peers: ")
    assert "\n" not in str(ended.value.code)


def test_the_script_says_what_it_takes() -> None:
    script = REPOSITORY / "scripts" / "benchmarks" / "peers" / "run"
    ended = subprocess.run(
        [str(script), "--help"], capture_output=True, text=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    )
    assert ended.returncode == 0, ended.stderr
    assert "--limit" in ended.stdout
