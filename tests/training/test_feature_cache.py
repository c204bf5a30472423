"""The cache with any extractor: computed once, apart for different extractors, whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.features import FloatArray, Frontend
from tests.model.ears_for_tests import sounds, tiny_ear
from training.clips import EVALUATION, Clip, StaticLabels
from training.extractors import FrontendExtractor
from training.feature_cache import ExtractorCache, FeatureCache
from training.tables import DataError


@dataclass(frozen=True)
class Lengths:
    """The number of bytes, in as many columns as wanted; notes in a file what it was asked for."""

    log: Path
    column_count: int = 1

    @property
    def key(self) -> bytes:
        return bytes([self.column_count])

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        content = source.read_bytes()
        if not content:
            raise DataError(f'"{source}" is empty')
        with self.log.open("a") as log:
            log.write(f"{source.name}\n")
        return np.full((1, self.column_count), len(content), dtype=np.float32)


def clips_of(folder: Path, contents: dict[str, bytes]) -> list[Clip]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [Clip("some", name, name, folder / name, EVALUATION, StaticLabels(0, 0)) for name in contents]


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_is_computed_once(tmp_path: Path, jobs: int) -> None:
    clips = clips_of(tmp_path, {"a": b"1", "b": b"22", "c": b"333"})
    cache = ExtractorCache(tmp_path / "cache", Lengths(tmp_path / "log", 2))
    for _ in range(2):
        heard: list[int] = []
        assert [values.tolist() for values in cache.load_all(clips, jobs, heard.append)] == [
            [[1, 1]],
            [[2, 2]],
            [[3, 3]],
        ]
        assert sum(heard) == 3
    assert sorted((tmp_path / "log").read_text().split()) == ["a", "b", "c"]


def test_extractors_do_not_share_files(tmp_path: Path) -> None:
    (clip,) = clips_of(tmp_path, {"a": b"1"})
    caches = [ExtractorCache(tmp_path / "cache", Lengths(tmp_path / "log", columns)) for columns in (1, 2)]
    assert [cache.load(clip.source).shape for cache in caches] == [(1, 1), (1, 2)]
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_computed_before_a_failure_is_kept(tmp_path: Path, jobs: int) -> None:
    clips = clips_of(tmp_path, {"a": b"1", "b": b"22", "bad": b""})
    cache = ExtractorCache(tmp_path / "cache", Lengths(tmp_path / "log"))
    with pytest.raises(DataError, match='bad" is empty'):
        cache.load_all(clips, jobs)
    left = list((tmp_path / "cache").iterdir())
    assert left
    assert {path.name for path in left} <= {cache.path(clip.source).name for clip in clips}
    assert [values.item() for values in cache.load_all(clips[:2], jobs)] == [1, 2]
    assert sorted((tmp_path / "log").read_text().split()) == ["a", "b"]


def test_the_frontends_files_keep_their_names(tmp_path: Path, frontend: Frontend) -> None:
    (clip,) = clips_of(tmp_path, {"a": b"1"})
    cache = FeatureCache(tmp_path, frontend)
    assert cache.frontend is frontend
    digest = hashlib.sha256(FrontendExtractor(frontend).key + hashlib.sha256(b"1").hexdigest().encode())
    assert cache.path(clip.source) == tmp_path / f"{digest.hexdigest()[:40]}.npy"


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_an_ear_says_stands_behind_the_features_and_is_kept_apart(
    tmp_path: Path, frontend: Frontend, jobs: int
) -> None:
    clips = clips_of(tmp_path, dict.fromkeys(("a.wav", "b.wav"), b""))
    for number, clip in enumerate(clips):
        soundfile.write(clip.source, sounds(3 + number, number).ravel(), 22050, subtype="FLOAT")
    plain = FeatureCache(tmp_path / "cache", frontend)
    assert plain.ear is None
    plain.load(clips[0].source)
    ear = tiny_ear()
    cache = FeatureCache(tmp_path / "cache", frontend, ear=ear)
    assert cache.ear is ear
    heard: list[int] = []
    rows = cache.load_all(clips, jobs, heard.append)
    assert sum(heard) == 2
    assert len(heard) == 3  # none was ready, and then each as soon as it was
    assert len(list((tmp_path / "cache").iterdir())) == 4
    for number, (clip, both) in enumerate(zip(clips, rows, strict=True)):
        frames = sounds(3 + number, number)
        np.testing.assert_array_equal(both[:, :140], plain.load(clip.source))
        np.testing.assert_allclose(both[:, 140:], ear.hear(frames, [ear.memory()] * len(frames)), atol=1e-5)
    assert not FeatureCache(tmp_path / "cache", frontend, ear=tiny_ear(1)).is_kept(clips[0].source)
    heard.clear()
    cache.load_all(clips, jobs, heard.append)
    assert heard == [2]


def test_an_ear_hears_what_ears_looked_at_before_without_reading_the_file(
    tmp_path: Path, frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, sounds(5, 0).ravel(), 22050, subtype="FLOAT")
    from_file = FeatureCache(tmp_path / "one", frontend, ear=tiny_ear()).load(source)
    cache = FeatureCache(tmp_path / "other", frontend, ear=tiny_ear())
    assert cache.of_ear is not None
    FeatureCache(tmp_path / "other", frontend).load(source)
    cache.of_ear.spectrograms.load(source)

    def refuse(*arguments: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("training.extractors.read_frames", refuse)
    np.testing.assert_array_equal(cache.load(source), from_file)
