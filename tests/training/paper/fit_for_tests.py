"""Trains as a program of its own, so that it can be killed: ``fit_for_tests STATE WEIGHTS [resume]``.

Prints a line after every epoch, and the epochs as JSON at the end; the weights go to WEIGHTS.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.training.paper.synthetic import COLUMNS, learnable_songs, small
from training.paper.fitting import ElasticNet, Schedule, fit
from training.paper.networks import crnn

SEED = 3
EPOCHS = 6


def main(state: Path, weights: Path, resume: bool) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    songs = learnable_songs(6, frames=35)
    configuration = small(dropout=0.3, l1=0.1)
    network = crnn(configuration, COLUMNS)
    penalty = ElasticNet(network, configuration.l1, configuration.l2)
    schedule = Schedule(10, 4, 1e-2, EPOCHS, EPOCHS)
    epochs = fit(
        network, songs[:4], songs[4:], schedule, SEED, penalty, state, resume, lambda e: print(e.number, flush=True)
    )
    save_file(network.state_dict(), weights)
    print(json.dumps([asdict(epoch) for epoch in epochs]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] == ["resume"])
