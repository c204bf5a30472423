"""The shipped checkpoint against the labelled music that it has never heard."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from model.checkpoint import Checkpoint, load_checkpoint
from training import audio
from training.clips import EVALUATION
from training.evaluation import OURS, Figures
from training.feature_cache import FeatureCache, default_folder
from training.workspace import Workspace

Measure = Callable[[str], Figures]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="module")
def measure(labelled_music: Path, checkpoint: Checkpoint) -> Measure:
    workspace = Workspace.open(labelled_music, os.cpu_count() or 1, Console(quiet=True))
    cache = FeatureCache(default_folder(), checkpoint.frontend, ear=checkpoint.ear)

    def measure_one(name: str) -> Figures:
        if name not in workspace.clips:
            pytest.skip(f"no {name} in {labelled_music}")
        held_out = [clip for clip in workspace.clips[name] if clip.part == EVALUATION]
        if any(audio.is_midi(clip.source) for clip in held_out) and not audio.SOUND_FONT.is_file():
            pytest.skip(f"no {audio.SOUND_FONT} (Debian's package fluid-soundfont-gm)")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            (result,) = workspace.measure(checkpoint, {name: held_out}, cache)
        finally:
            torch.set_num_threads(threads)
        noted = checkpoint.metrics["results"][name][result.kind]["predictors"][OURS]
        for metric, values in result.predictors[OURS].items():
            np.testing.assert_allclose(values, noted[metric], atol=0.005, err_msg=f"{name} {metric}")
        return result.predictors[OURS]

    return measure_one


def test_piano_it_has_never_heard(measure: Measure) -> None:
    valence, arousal = measure("vgmidi")["CCC"]
    assert valence >= 0.50
    assert arousal >= 0.72


def test_recordings_with_votes(measure: Measure) -> None:
    valence, arousal = measure("emotify")["r"]
    assert valence >= 0.45
    assert arousal >= 0.75


def test_recordings_of_artists_it_has_never_heard(measure: Measure) -> None:
    valence, arousal = measure("4q")["AUC"]
    assert valence >= 0.75
    assert arousal >= 0.90
