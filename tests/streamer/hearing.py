"""A checkpoint with an ear, a memory and spreads: all that a model can have, at no cost."""

from __future__ import annotations

import numpy as np
import torch

from model.checkpoint import Checkpoint
from model.features import FeatureParameters, Frontend
from model.network import EmotionNetwork, NetworkParameters
from streamer.framer import Frame
from tests.model.ears_for_tests import RememberingEar, sounds


def hearing_checkpoint() -> Checkpoint:
    """Give a network of random weights that hears a window of 4 frames and a memory of 12."""
    features = FeatureParameters(mel_bands=8)
    random = np.random.default_rng(0)
    mel = random.random((8, features.fft_window // 2 + 1), dtype=np.float32)
    chroma = random.random((12, features.frame_length // 2 + 1), dtype=np.float32)
    ear = RememberingEar()
    parameters = NetworkParameters(window=4, memory=12, ear_columns=ear.shape.outputs, summary_units=0, spread_units=4)
    torch.manual_seed(0)
    network = EmotionNetwork(features, parameters).eval()
    checkpoint = Checkpoint("hearing", Frontend(features, mel, chroma), network, ear=ear)
    assert network.summary is not None
    assert network.spread is not None
    torch.nn.init.normal_(network.summary.linear.weight, std=0.01)
    torch.nn.init.normal_(network.spread.output.weight, std=0.1)
    music = sounds(24, 8)
    rows = torch.from_numpy(checkpoint.features(music, [checkpoint.memory()] * 24))
    network.set_standardisation([rows[None, i : i + 12] for i in range(12)])
    return checkpoint


def frames_of(samples: np.ndarray, start: int = 0, gap: float = 0.0) -> list[Frame]:
    """Give frames, the first of which comes after a loss of `gap` seconds."""
    return [Frame(one, position=0.5 * (start + i + 1) + gap, gap=0.0 if i else gap) for i, one in enumerate(samples)]
