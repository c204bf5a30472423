"""openSMILE's 260 features: names, values against openSMILE's own configuration, DEAM's files, the cache."""

from __future__ import annotations

import csv
import importlib.metadata
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import tone
from training import opensmile_features
from training.clips import EVALUATION, Clip, DynamicLabels, StaticLabels
from training.feature_cache import ExtractorCache
from training.opensmile_features import FEATURE_NAMES, FeatureRows, OpensmileExtractor, compute, read_features_csv
from training.tables import DataError

RATE = 44100
VOICE = ("F0final", "voicingFinalUnclipped", "jitter", "shimmer", "logHNR")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3.7 s that change: pulsing tones over noise, with a gap of silence, one sample beyond full scale."""
    pytest.importorskip("opensmile", reason="needs openSMILE (pip install moodring[opensmile])")
    wave = np.concatenate([tone(1.2, 220, True, RATE), np.zeros(RATE // 2), tone(2, 330, False, RATE)])
    wave += 0.02 * np.random.default_rng(0).standard_normal(len(wave))
    wave[1000] = 1.5
    path = tmp_path_factory.mktemp("music") / "music.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


def test_the_values_are_those_of_opensmiles_own_frames(music: Path) -> None:
    import opensmile

    samples = np.clip(soundfile.read(music, dtype="float32")[0], -1, 32767 / 32768)
    features = compute(music)
    assert features.dtype == np.float32
    assert features.shape == (7, 260)
    level = opensmile.FeatureLevel
    column = 0
    for frames in (level.LowLevelDescriptors, level.LowLevelDescriptors_Deltas):
        own = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, frames).process_signal(samples, RATE)
        begin = own.index.get_level_values("start").total_seconds()
        for name in own.columns:
            for frame in range(7):
                of_frame = own[name].to_numpy(np.float64)[
                    (begin >= frame / 2 - 1e-6) & (begin < frame / 2 + 0.5 - 1e-6)
                ]
                assert len(of_frame) >= 44
                expected = [of_frame.std(), of_frame.mean()]
                np.testing.assert_allclose(features[frame, column : column + 2], expected, rtol=1e-4, atol=1e-5)
            deam_name = name.replace("mfcc", "pcm_fftMag_mfcc")
            assert FEATURE_NAMES[column : column + 2] == (f"{deam_name}_stddev", f"{deam_name}_amean")
            column += 2
    assert column == 260


def test_the_names_are_in_deams_order() -> None:
    assert len(set(FEATURE_NAMES)) == 260
    assert FEATURE_NAMES[:4] == (
        "F0final_sma_stddev",
        "F0final_sma_amean",
        "voicingFinalUnclipped_sma_stddev",
        "voicingFinalUnclipped_sma_amean",
    )
    assert FEATURE_NAMES[128:132] == (
        "pcm_fftMag_mfcc_sma[14]_stddev",
        "pcm_fftMag_mfcc_sma[14]_amean",
        "F0final_sma_de_stddev",
        "F0final_sma_de_amean",
    )
    assert FEATURE_NAMES[-1] == "pcm_fftMag_mfcc_sma_de[14]_amean"


def test_a_long_file_is_cut_without_a_seam(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(soundfile.read(music)[0], 4), RATE, subtype="FLOAT")
    whole = compute(path)
    monkeypatch.setattr(opensmile_features, "_BLOCK_FRAMES", 20)
    monkeypatch.setattr(opensmile_features, "_LEAD_FRAMES", 16)
    pieces = compute(path)
    assert pieces.shape == whole.shape == (29, 260)
    # the deltas of these fade with time, so that they begin anew with a piece
    fading = [i for i, name in enumerate(FEATURE_NAMES) if name.startswith(VOICE) and "_de_" in name]
    assert len(fading) == 12
    others = np.setdiff1d(np.arange(260), fading)
    scale = whole[:, others].std(axis=0) + 1e-6
    assert (np.abs(pieces - whole)[:, others] / scale).max() < 0.02


def test_the_rate_of_the_audio_hardly_matters(music: Path, tmp_path: Path) -> None:
    samples, _ = soundfile.read(music, dtype="float32")
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(compute(tmp_path / "stereo.wav"), compute(music), rtol=1e-6)
    soundfile.write(tmp_path / "low.wav", tone(2, 220, True, 22050), 22050)
    soundfile.write(tmp_path / "high.wav", tone(2, 220, True, RATE), RATE)
    pitch = FEATURE_NAMES.index("F0final_sma_amean")
    low, high = compute(tmp_path / "low.wav"), compute(tmp_path / "high.wav")
    np.testing.assert_allclose(low[1:3, pitch], high[1:3, pitch], rtol=0.01)


def test_silence_has_finite_features(music: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    assert np.isfinite(compute(tmp_path / "silence.wav")).all()


def test_what_is_no_music_is_one_line(music: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(b"no music" * 100)
    with pytest.raises(DataError, match="cannot decode"):
        compute(tmp_path / "noise.mp3")
    soundfile.write(tmp_path / "short.wav", np.zeros(RATE // 4), RATE)
    with pytest.raises(DataError, match=r"shorter than a frame of 0.5 s"):
        compute(tmp_path / "short.wav")


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    opensmile_features._smile.cache_clear()
    for use in (lambda: compute(tmp_path / "a.wav"), lambda: OpensmileExtractor().key):
        with pytest.raises(DataError, match=r"install moodring\[opensmile\]"):
            use()


def test_the_cache_computes_in_other_processes(music: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.wav"
    soundfile.write(second, tone(1, 300, True, RATE), RATE)
    clips = [Clip("some", p.stem, p.stem, p, EVALUATION, StaticLabels(0, 0)) for p in (music, second)]
    cache = ExtractorCache(tmp_path / "cache", OpensmileExtractor())
    heard: list[int] = []
    loaded = cache.load_all(clips, 2, heard.append)
    assert sum(heard) == 2
    np.testing.assert_array_equal(loaded[0], compute(music))
    assert loaded[1].shape == (2, 260)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {cache.path(clip.source).name for clip in clips}
    heard.clear()
    cache.load_all(clips, 2, heard.append)
    assert heard == [2]


def write_features(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([header, *rows])
    return path


def plain_rows(count: int, first: float = 0.0) -> list[list[object]]:
    return [[first + i / 2, *(column + i / 8 for column in range(260))] for i in range(count)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 5), first=st.integers(0, 60))
def test_files_are_read_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, first: int
) -> None:
    order = list(range(260))
    random.Random(seed).shuffle(order)
    header = [
        "frameTime",
        *(FEATURE_NAMES[i].replace("pcm_fftMag_mfcc", "mfcc" if seed % 2 else "pcm_fftMag_mfcc") for i in order),
    ]
    rows = [[row[0], *(row[1 + i] for i in order)] for row in plain_rows(count, first / 2)]
    read = read_features_csv(write_features(tmp_path_factory.mktemp("features") / "1.csv", header, rows))
    np.testing.assert_array_equal(read.values, [row[1:] for row in plain_rows(count)])
    np.testing.assert_array_equal(read.positions, first / 2 + 0.5 + np.arange(count) / 2)


@pytest.mark.parametrize("first", [0.0, 14.5, 15.0])
def test_labels_are_laid_out_on_the_rows(tmp_path: Path, first: float) -> None:
    path = write_features(tmp_path / "1.csv", ["frameTime", *FEATURE_NAMES], plain_rows(40, first))
    rows = read_features_csv(path)
    labels = DynamicLabels(15 + np.arange(4) / 2, np.array([[0, 1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], np.float32))
    laid_out = rows.lay_out(labels)
    assert laid_out.shape == (40, 2)
    for position, label in zip(rows.positions, laid_out, strict=True):
        place = np.flatnonzero(labels.positions == position)
        expected = labels.values[place[0]] if len(place) else [np.nan, np.nan]
        np.testing.assert_array_equal(label, expected)


def test_rows_and_frames_agree_on_labels() -> None:
    labels = DynamicLabels(np.array([0.5, 1.0, 2.5]), np.eye(3, 2, dtype=np.float32))
    rows = FeatureRows(0.5 + np.arange(4) / 2, np.zeros((4, 260), np.float32))
    np.testing.assert_array_equal(rows.lay_out(labels), labels.per_frame(4, 0.5))


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_features_csv(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_other_names_are_refused(tmp_path: Path) -> None:
    names = list(FEATURE_NAMES)
    names[7] = "tempo"
    message = refusal(write_features(tmp_path / "1.csv", ["frameTime", *names], plain_rows(1)))
    assert "has no column jitterDDP_sma_amean (but tempo in its place)" in message
    message = refusal(write_features(tmp_path / "2.csv", ["time", *FEATURE_NAMES], plain_rows(1)))
    assert "does not begin with a column frameTime" in message
    message = refusal(write_features(tmp_path / "3.csv", ["frameTime", *FEATURE_NAMES, "more"], plain_rows(1)))
    assert "has 261 columns of features, not 260" in message
    message = refusal(write_features(tmp_path / "4.csv", ["frameTime", *FEATURE_NAMES[:-1]], plain_rows(1)))
    assert "(but nothing in its place)" in message


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (5, "loud", "row 3: holds something that is not a number"),
        (5, "nan", "row 3: holds a number that is not finite"),
        (5, "1e39", "row 3: holds a number that is not finite"),
        (5, "1e999", "row 3: holds a number that is not finite"),
        (0, 0.7, "row 3: frameTime must go by steps of 0.5 s"),
        (0, 1.0, "row 3: frameTime must go by steps of 0.5 s"),
        (0, 0.0, "row 3: frameTime must go by steps of 0.5 s"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, place: int, value: object, reason: str) -> None:
    rows = plain_rows(3)
    rows[1][place] = value
    assert reason in refusal(write_features(tmp_path / "1.csv", ["frameTime", *FEATURE_NAMES], rows))


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    assert "has no rows" in refusal(write_features(tmp_path / "1.csv", ["frameTime", *FEATURE_NAMES], []))
    assert "row 2: has 3 cells" in refusal(
        write_features(tmp_path / "2.csv", ["frameTime", *FEATURE_NAMES], [[0, 1, 2]])
    )
    assert "cannot read" in refusal(tmp_path / "nowhere.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00;")
    assert "UTF-8" in refusal(tmp_path / "binary.csv")
    (tmp_path / "empty.csv").touch()
    assert "does not begin with a column frameTime" in refusal(tmp_path / "empty.csv")
