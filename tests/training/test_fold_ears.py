"""Ears of a cross-validation's folds: what a fold leaves out is not heard before it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from model.crnn import CRNNParameters
from model.features import Frontend
from model.network import NetworkParameters
from tests.model.ears_for_tests import TINY, sounds, tiny_ear
from training.air import find_room
from training.air_features import AirPath, ThroughAir
from training.altered_sound import AlteredFeatureCache
from training.audio import SOUND_FONT
from training.clips import DEVELOPMENT, EVALUATION, Clip, SignLabels, StaticLabels, fold_of
from training.distillation import DistillationSettings
from training.ear_distillation import unlabelled_clips
from training.extractors import FrontendExtractor
from training.feature_cache import FeatureCache
from training.fold_ears import FoldDistillation, FoldEarMaterials, both_of
from training.held_out import Fold, cross_validate
from training.not_music import not_music, not_music_features
from training.recipe import Recipe
from training.tables import DataError

RECIPE = replace(Recipe(), steps=2, windows_per_step={"emotify": 4, "emopia": 4}, not_music_windows=2)
FOLDS = Fold.all_of(RECIPE)
FRAMES = 5
WINDOW = 4

Clips = dict[str, list[Clip]]


def write_clips(folder: Path) -> Clips:
    folder.mkdir()

    def clip(dataset: str, number: int, part: str, labels: StaticLabels | SignLabels) -> Clip:
        source = folder / f"{dataset}-{number}.wav"
        soundfile.write(source, sounds(FRAMES, len(dataset) + number).ravel(), 22050, subtype="FLOAT")
        return Clip(dataset, str(number), f"{dataset} {number}", source, part, labels)

    emotify = [clip("emotify", n, DEVELOPMENT, StaticLabels(0.1 * (n % 5), 0.1 * (n % 3))) for n in range(9)]
    emopia = [clip("emopia", n, (DEVELOPMENT, EVALUATION)[n % 2], SignLabels(1, 1)) for n in range(4)]
    return {"emotify": emotify, "emopia": emopia, "emomusic": [clip("emomusic", 0, EVALUATION, StaticLabels(0, 0))]}


def distillation(folder: Path, seed: int = 0, rooms: Any = None) -> FoldDistillation:
    settings = DistillationSettings(steps=2, windows=4, frames=3)
    return FoldDistillation(tiny_ear(7), folder, settings, TINY, seed, rooms=rooms)


def flat(clips: Clips) -> list[Clip]:
    return [clip for of_set in clips.values() for clip in of_set]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return write_clips(tmp_path_factory.mktemp("music") / "audio")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def digests(how: FoldDistillation, clips: Clips, folds: Sequence[Fold] = FOLDS) -> list[bytes]:
    forget(how.folder)
    return [ear.digest() for ear in how.ears(folds, clips).values()]


def forget(cache: Path) -> None:
    """Remove the ears that were kept."""
    for path in cache.glob("*.safetensors"):
        path.unlink()


def test_an_ear_changes_with_the_music_of_its_fold_and_with_no_other(clips: Clips, cache: Path, tmp_path: Path) -> None:
    before = digests(distillation(cache), clips)
    assert len(set(before)) == len(FOLDS)
    left_out = clips["emotify"][0]
    never = [clip for clip in flat(clips) if clip.part == EVALUATION]
    assert len(never) == 3
    for changed in (left_out, *never):
        other = tmp_path / f"{changed.dataset}-{changed.name}.wav"
        soundfile.write(other, sounds(FRAMES, 99).ravel(), 22050, subtype="FLOAT")
        with_other = {
            name: [replace(clip, source=other) if clip is changed else clip for clip in of_set]
            for name, of_set in clips.items()
        }
        after = digests(distillation(cache), with_other)
        same = {fold.number for fold, one, two in zip(FOLDS, before, after, strict=True) if one == two}
        everywhere = {fold.number for fold in FOLDS}
        assert same == ({fold_of(changed.group)} if changed is left_out else everywhere)


def test_labels_are_not_looked_at_and_the_seed_is(clips: Clips, cache: Path) -> None:
    others = {**clips, "emotify": [replace(clip, labels=StaticLabels(-0.5, 0.9)) for clip in clips["emotify"]]}
    before = digests(distillation(cache), clips, FOLDS[:2])
    assert digests(distillation(cache), others, FOLDS[:2]) == before
    assert not set(digests(distillation(cache, seed=1), clips, FOLDS[:2])) & set(before)


@pytest.fixture(scope="module")
def given(clips: Clips, frontend: Frontend, cache: Path) -> FoldEarMaterials:
    how = distillation(cache)
    heard: list[int] = []
    stepped: list[int] = []
    music = [clip for clip in flat(clips) if any(fold.is_trained_on(clip) for fold in FOLDS)]
    how.fill(flat(clips), music, heard=heard.append)
    assert sum(heard) == len(flat(clips)) + len(music)
    ears = how.ears(FOLDS, clips, stepped=stepped.append)
    assert sum(stepped) == len(FOLDS) * how.settings.steps
    plain = FeatureCache(cache, frontend)
    features = {name: plain.load_all(of_set) for name, of_set in clips.items()}
    silent = both_of(not_music(frontend.parameters, clips_per_kind=1), frontend, how.teacher.frontend)
    return FoldEarMaterials(clips, features, silent, ears, how.spectrograms, frontend.parameters)


def test_a_folds_rows_are_those_that_its_ear_gives_live(
    given: FoldEarMaterials, clips: Clips, frontend: Frontend, tmp_path: Path
) -> None:
    fold = FOLDS[1]
    material = given.of_fold(fold)
    live = FeatureCache(tmp_path / "cache", frontend, ear=given.ears[fold])
    for name, of_set in clips.items():
        for clip, rows in zip(of_set, material.rows[name], strict=True):
            np.testing.assert_array_equal(rows, live.load(clip.source))
    assert material.not_music is not None
    silent = np.concatenate(not_music_features(frontend, given.ears[fold], clips_per_kind=1))
    np.testing.assert_array_equal(material.not_music.features.numpy(), silent)
    assert material.parameters == frontend.parameters


def test_a_fold_hears_what_it_is_trained_on_in_rooms_too(
    given: FoldEarMaterials, clips: Clips, frontend: Frontend, tmp_path: Path
) -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics")
    rooms = AirPath(find_room("living room"), 20.0)
    how = distillation(tmp_path, rooms=rooms)
    fold = FOLDS[1]
    in_room = how.ear_of(fold, [clip for clip in flat(clips) if fold.is_trained_on(clip)])
    assert in_room.digest() != given.ears[fold].digest()
    heard = {
        name: [room_features(frontend, rooms, clip) if fold.is_trained_on(clip) else None for clip in of_set]
        for name, of_set in clips.items()
    }
    material = replace(given, ears={fold: in_room}, in_rooms=heard, room_spectrograms=how.room_spectrograms).of_fold(
        fold
    )
    live = AlteredFeatureCache(tmp_path / "c", frontend, partial(ThroughAir, path=rooms), ear=in_room)
    for name, of_set in clips.items():
        for clip, rows in zip(of_set, material.in_rooms[name], strict=True):
            assert (rows is not None) == fold.is_trained_on(clip)
            if rows is not None:
                np.testing.assert_array_equal(rows, live.load(clip.source))
    sampler = material.samplers(["emotify"], fold.is_trained_on)["emotify"]
    alone = given.of_fold(fold).samplers(["emotify"], fold.is_trained_on)["emotify"]
    assert len(sampler.features) == 2 * len(alone.features)


def test_music_without_labels_teaches_every_ear_and_is_heard_as_it_is(
    clips: Clips, cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics")
    (tmp_path / "free" / "album").mkdir(parents=True)
    soundfile.write(tmp_path / "free" / "album" / "track.wav", sounds(FRAMES, 98).ravel(), 22050, subtype="FLOAT")
    (tmp_path / "free" / "copyright").write_text("free")
    more = unlabelled_clips(tmp_path / "free")
    assert [clip.name for clip in more] == ["album/track.wav"]
    how = replace(distillation(cache, rooms=AirPath(find_room("living room"), 20.0)), unlabelled=more)
    heard: list[int] = []
    music = [clip for clip in flat(clips) if FOLDS[0].is_trained_on(clip)]
    how.fill(flat(clips), music, heard=heard.append)
    assert sum(heard) == len(flat(clips)) + 2 * len(music) + 2
    taught = digests(how, clips, FOLDS[:2])
    without = digests(replace(how, unlabelled=()), clips, FOLDS[:2])
    assert not set(taught) & set(without)
    assert how.spectrograms.is_kept(more[0].source)
    assert how.room_spectrograms is not None
    assert not how.room_spectrograms.is_kept(more[0].source)


def room_features(frontend: Frontend, rooms: AirPath, clip: Clip) -> np.ndarray:
    return ThroughAir(FrontendExtractor(frontend), rooms)(clip.source, SOUND_FONT)


def test_processes_change_nothing(given: FoldEarMaterials, clips: Clips, cache: Path) -> None:
    stepped: list[int] = []
    forget(cache)
    ears = distillation(cache).ears(FOLDS, clips, 2, stepped.append)
    assert sum(stepped) == len(FOLDS) * distillation(cache).settings.steps
    assert [ears[fold].digest() for fold in FOLDS] == [given.ears[fold].digest() for fold in FOLDS]
    network = NetworkParameters(
        window=WINDOW,
        memory=WINDOW,
        ear_columns=TINY.outputs,
        summary_units=0,
        spread_units=2,
        crnn=CRNNParameters(conv_filters=1, fc_units=2, gru_units=2, maxout_pieces=2),
    )
    one = cross_validate(given, network, RECIPE)
    several = cross_validate(replace(given, ears=ears), network, RECIPE, jobs=2)
    assert {name: set(tracks) for name, tracks in one.items()} == {
        "emotify": {clip.name for clip in clips["emotify"]},
        "emopia": {f"{name}@{fold}" for name in ("1", "3") for fold in range(5)},
        "emomusic": {f"0@{fold}" for fold in range(5)},
    }
    for name, tracks in one.items():
        for clip, track in tracks.items():
            np.testing.assert_array_equal(track.values, several[name][clip].values)
            assert np.isfinite(track.values).all()


def test_an_ear_is_taught_once(clips: Clips, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ears() -> tuple[list[bytes], list[int]]:
        stepped: list[int] = []
        taught = distillation(cache).ears(FOLDS[:2], clips, stepped=stepped.append)
        return [ear.digest() for ear in taught.values()], stepped

    forget(cache)
    steps = distillation(cache).settings.steps
    first, stepped = ears()
    assert stepped == [1] * (2 * steps)
    assert ears() == (first, [steps, steps])
    one, other = sorted(cache.glob("*.safetensors"))
    one.write_bytes(other.read_bytes()[:-1])
    again, stepped = ears()
    assert again == first
    assert sorted(stepped) == [1] * steps + [steps]
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert ears() == (first, [1] * (2 * steps))


def test_music_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    clip = Clip("emotify", "bad", "bad", bad, DEVELOPMENT, StaticLabels(0, 0))
    with pytest.raises(DataError, match=r"cannot decode .*bad\.wav"):
        distillation(tmp_path / "cache").fill([clip], [])
