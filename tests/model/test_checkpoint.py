from __future__ import annotations

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.checkpoint import METADATA_KEY, Checkpoint, CheckpointError, bundled_checkpoint_path, load_checkpoint
from tests.conftest import Outcome


def _header(path: Path) -> tuple[dict[str, object], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _write(path: Path, header: dict[str, object], data: bytes) -> Path:
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return path


def _with_metadata(path: Path, change: Callable[[dict], None]) -> Path:
    header, data = _header(bundled_checkpoint_path())
    metadata = json.loads(header["__metadata__"][METADATA_KEY])  # type: ignore[index]
    change(metadata)
    header["__metadata__"] = {METADATA_KEY: json.dumps(metadata)}
    return _write(path, header, data)


def columns_of(checkpoint: Checkpoint) -> int:
    return checkpoint.frontend.parameters.feature_count + checkpoint.network.network_parameters.ear_columns


def test_saving_and_loading_changes_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "copy.safetensors")
    copy = load_checkpoint(tmp_path / "copy.safetensors")
    windows = np.random.default_rng(0).normal(-30, 10, (3, 20, columns_of(checkpoint))).astype(np.float32)
    np.testing.assert_array_equal(copy.estimate(windows), checkpoint.estimate(windows))
    assert (copy.name, copy.training, copy.metrics) == (checkpoint.name, checkpoint.training, checkpoint.metrics)
    assert not list(tmp_path.glob(".*"))


def test_estimates_stay_in_their_range(checkpoint: Checkpoint) -> None:
    extreme = np.random.default_rng(0).uniform(-200, 200, (50, 20, columns_of(checkpoint))).astype(np.float32)
    estimates = checkpoint.estimate(extreme)
    assert np.isfinite(estimates).all()
    assert np.abs(estimates).max() <= 1


def test_a_quieter_copy_sounds_alike(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    mono = piece.mean(axis=1)[::2]
    frames = mono[: len(mono) // 11025 * 11025].reshape(-1, 11025).astype(np.float32)
    rows, quiet_rows = (
        checkpoint.features(frames * gain, [checkpoint.memory()] * len(frames)) for gain in np.float32([1, 0.1])
    )
    windows, quiet_windows = (
        np.stack([features[i : i + 20] for i in range(0, len(features) - 20, 5)]) for features in (rows, quiet_rows)
    )
    change = np.abs(checkpoint.estimate(windows) - checkpoint.estimate(quiet_windows)).mean(axis=0)
    assert (change < 0.03).all()


@pytest.mark.parametrize("lag", [0, 1, 5, 19])
def test_every_lag_within_the_window_works(checkpoint: Checkpoint, lag: int) -> None:
    windows = np.random.default_rng(0).normal(-30, 10, (2, 20, columns_of(checkpoint))).astype(np.float32)
    assert checkpoint.estimate(windows, lag).shape == (2, 2)


@pytest.mark.parametrize("kept", [0, 5, 8, 100, 5000, 500_000])
def test_truncated(moodring: Callable[..., Outcome], tmp_path: Path, song: Path, kept: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(bundled_checkpoint_path().read_bytes()[:kept])
    outcome = moodring("annotate", song, "--model", path)
    assert outcome.status == 1
    assert outcome.errors.strip() == (
        f'moodring: checkpoint "{path}" is truncated or not a safetensors file; train or copy it again'
    )


def test_another_version(tmp_path: Path) -> None:
    path = _with_metadata(tmp_path / "new.safetensors", lambda metadata: metadata.update(version=2))
    with pytest.raises(CheckpointError, match="has version 2; this moodring reads version 1"):
        load_checkpoint(path)


def test_somebody_elses_safetensors_file(tmp_path: Path) -> None:
    header, data = _header(bundled_checkpoint_path())
    del header["__metadata__"]
    with pytest.raises(CheckpointError, match="not a moodring checkpoint"):
        load_checkpoint(_write(tmp_path / "other.safetensors", header, data))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["network"].update(crnn={"gru_units": 9}),
        lambda m: m["network"].update(crnn={"fc_units": 4096, "conv_filters": 512}),
        lambda m: m["network"].update(crnn={"surprise": 1}),
        lambda m: m["network"].update(crnn=[]),
        lambda m: m["network"].update(summary_units=None, memory=0, ear_columns=0, spread_units=0),
        lambda m: m["network"].update(window=-3),
        lambda m: m["network"].update(window="many"),
        lambda m: m["network"].update(columns=["colour"]),
        lambda m: m["features"].update(sample_rate=48000),
        lambda m: m["features"].update(fft_hop=0),
        lambda m: m.pop("features"),
        lambda m: m.update(network=[1]),
        lambda m: m.update(training=3),
    ],
)
def test_parts_that_do_not_fit(tmp_path: Path, change: Callable[[dict], None]) -> None:
    path = _with_metadata(tmp_path / "odd.safetensors", change)
    with pytest.raises(CheckpointError, match="does not fit together"):
        load_checkpoint(path)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a file"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint file"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_saving_where_nobody_may_write(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        checkpoint.save(tmp_path / "no" / "such" / "folder.safetensors")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 20_000), value=st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_harmless(tmp_path: Path, position: int, value: int) -> None:
    content = bytearray(bundled_checkpoint_path().read_bytes())
    content[position] = value
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(content)
    with suppress(CheckpointError):
        assert load_checkpoint(path).window >= 2
