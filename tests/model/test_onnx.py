"""A model says the same in ONNX Runtime as in torch, and the bundled one is what `moodring export` gives now."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="exports models")

import onnx
from onnx import helper

from model.bundled import bundled_onnx_path
from model.checkpoint import Checkpoint, load_checkpoint
from model.distilled_ear import DistilledEar
from model.ears import DistilledListener
from model.errors import CheckpointError
from model.loading import load_model
from model.metadata import METADATA_KEY
from model.onnx_export import export_onnx
from model.onnx_file import parse_onnx
from model.onnx_model import OnnxModel, load_onnx_model
from scripts.benchmarks.fuzzing.checkpoints import small_checkpoints
from tests.conftest import REPOSITORY
from tests.streamer.hearing import hearing_checkpoint

TOLERANCE = 1e-5
NAMES = ("default", "plain", "whole", "hearing")


def checkpoint_named(name: str, folder: Path) -> Checkpoint:
    """Give the bundled default, or one of the small ones: without a summary, with all there is, with an ear."""
    if name == "default":
        return load_checkpoint()
    path = folder / f"{name}.safetensors"
    path.write_bytes(small_checkpoints()[NAMES.index(name) - 1])
    return load_checkpoint(path)


def exported(checkpoint: Checkpoint, folder: Path) -> OnnxModel:
    export_onnx(checkpoint, folder / "exported.onnx")
    return load_onnx_model(folder / "exported.onnx")


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, OnnxModel]:
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = checkpoint_named(request.param, folder)
    return checkpoint, exported(checkpoint, folder)


def noise(checkpoint: Checkpoint, streams: int, frames: int, seed: int = 0) -> np.ndarray:
    """Give samples, shape (streams, frames, frame_length), each frame louder or softer than the one before."""
    random = np.random.default_rng(seed)
    shape = (streams, frames, checkpoint.frontend.parameters.frame_length)
    levels = 10 ** random.uniform(-3, 0, shape[:2])
    return (levels[..., None] * random.uniform(-1, 1, shape)).astype(np.float32)


def test_rows_and_estimates_are_the_same(pair: tuple[Checkpoint, OnnxModel]) -> None:
    checkpoint, model = pair
    streams, frames = 3, min(checkpoint.history + 3, 30)
    samples = noise(checkpoint, streams, frames)
    rows = []
    for either in pair:
        memories = [either.memory() for _ in range(streams)]
        parts = [either.features(samples[:, i], memories) for i in range(frames)]
        rows.append(np.stack(parts, axis=1))
    np.testing.assert_allclose(rows[1], rows[0], atol=TOLERANCE)
    lags = {0, 1, checkpoint.window // 2, checkpoint.window // 2 + 1, checkpoint.history - 1}
    asked = 0
    for length in sorted({1, 2, checkpoint.window - 1, checkpoint.window, checkpoint.window + 1, frames}):
        history = np.ascontiguousarray(rows[0][:, max(0, length - checkpoint.history) : length])
        for lag in (lag for lag in lags if lag < history.shape[1]):
            (values, stds), (ours, our_stds) = (either.estimate_with_std(history, lag) for either in pair)
            np.testing.assert_allclose(ours, values, atol=TOLERANCE)
            assert (stds is None) == (our_stds is None)
            if stds is not None:
                np.testing.assert_allclose(our_stds, stds, atol=TOLERANCE)
            alone = model.estimate_with_std(history[1:2], lag)[0]
            np.testing.assert_allclose(alone[0], ours[1], atol=TOLERANCE)
            asked += 1
    assert asked > 6


def test_models_with_the_first_ears_are_heard_as_before(tmp_path: Path) -> None:
    """Of frames each by itself, and with metadata that say nothing of a span."""
    checkpoint = checkpoint_named("hearing", tmp_path)
    assert isinstance(checkpoint.ear, DistilledListener)
    sizes = replace(checkpoint.ear.network.parameters_, span=1, hidden_units=0)
    torch.manual_seed(0)
    checkpoint.ear = DistilledListener(checkpoint.ear.frontend, DistilledEar(sizes))
    export_onnx(checkpoint, tmp_path / "first.onnx")
    file = onnx.load(tmp_path / "first.onnx")
    metadata = json.loads(checkpoint.metadata())
    del metadata["ear"]["network"]["span"], metadata["ear"]["network"]["hidden_units"]
    helper.set_model_props(file, {METADATA_KEY: json.dumps(metadata)})
    onnx.save(file, tmp_path / "first.onnx")
    samples = noise(checkpoint, 2, 5)
    heard = []
    for either in (checkpoint, load_onnx_model(tmp_path / "first.onnx")):
        memories = [either.memory() for _ in range(2)]
        heard.append(np.stack([either.features(samples[:, i], memories) for i in range(5)]))
    np.testing.assert_allclose(heard[1], heard[0], atol=TOLERANCE)


def test_export_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    checkpoint = checkpoint_named("whole", tmp_path)
    checkpoint.network.train()
    before = checkpoint.digest()
    export_onnx(checkpoint, tmp_path / "exported.onnx")
    assert checkpoint.network.training
    assert checkpoint.network.crnn.training
    assert checkpoint.digest() == before


def test_the_bundled_model_is_what_export_gives_now(tmp_path: Path) -> None:
    checkpoint = load_checkpoint()
    export_onnx(checkpoint, tmp_path / "now.onnx")
    bundled, now = (parse_onnx(path.read_bytes()) for path in (bundled_onnx_path(), tmp_path / "now.onnx"))
    assert bundled.metadata == now.metadata == {METADATA_KEY: checkpoint.metadata()}
    assert bundled.tensors.keys() == now.tensors.keys()
    for name, tensor in now.tensors.items():
        np.testing.assert_allclose(bundled.tensors[name].values, tensor.values, atol=1e-6, err_msg=name)
    random = np.random.default_rng(3)
    rows = random.normal(-30, 10, (4, checkpoint.history, 236)).astype(np.float32)
    for ours, expected in zip(
        load_model().estimate_with_std(rows),
        load_onnx_model(tmp_path / "now.onnx").estimate_with_std(rows),
        strict=True,
    ):
        assert ours is not None
        assert expected is not None
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_names_and_digests(pair: tuple[Checkpoint, OnnxModel], tmp_path: Path) -> None:
    checkpoint, model = pair
    assert model.name == checkpoint.name
    assert (model.window, model.history) == (checkpoint.window, checkpoint.history)
    assert model.frontend.parameters == checkpoint.frontend.parameters
    assert exported(checkpoint, tmp_path).digest() == model.digest()
    with torch.no_grad():
        other = checkpoint_named("whole", tmp_path)
        next(other.network.parameters()).add_(1e-3)
    assert exported(other, tmp_path).digest() != model.digest()


def test_an_ear_of_another_kind_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="runs in torch only"):
        export_onnx(hearing_checkpoint(), tmp_path / "exported.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "runtime", "said"),
    [
        ("large", "onnx", 'the bundled model "large" runs in torch only'),
        ("mine.safetensors", "onnx", 'moodring export "mine.safetensors" -o FILE.onnx'),
        ("mine.onnx", "torch", '"mine.onnx" runs in ONNX Runtime only'),
        ("mine.onnx", None, 'no checkpoint file "mine.onnx"'),
        ("mine.safetensors", None, 'no checkpoint file "mine.safetensors"'),
    ],
)
def test_no_runtime_is_taken_instead_of_another(model: str, runtime: object, said: str) -> None:
    with pytest.raises(CheckpointError) as refused:
        load_model(model, runtime)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_which_runtime_a_file_has() -> None:
    assert load_model().runtime == load_model("default").runtime == load_model(runtime="onnx").runtime == "onnxruntime"
    assert load_model(runtime="torch").runtime == "torch"


_BATCHES = """
import random
import resource
from pathlib import Path
import numpy as np
from model.loading import load_model
model, chance = load_model(runtime="onnx"), random.Random(0)
rows = np.random.default_rng(0).normal(-30, 10, (64, model.history, 236)).astype(np.float32)
for i in range(160):
    streams, frames = chance.choice([1, 2, 3, 5, 8, 13, 33]), chance.randrange(1, model.history + 1)
    model.estimate_with_std(rows[:streams, :frames])
    if i == 40:
        model.estimate_with_std(rows)
    if i in (50, 159):
        print(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_as_it_is_while_batches_change() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _BATCHES], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    )
    early, late = map(int, ended.stdout.split())
    assert late - early < 4096, f"{late - early} KB more"
