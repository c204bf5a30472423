"""musicnn's embeddings of files; runs in musicnn's own environment and imports nothing of moodring.

Reads one path of a mono WAV file of 16 kHz per line. Answers each with one line of JSON: ``whole``, the mean embedding;
``ends``, the ends of its consecutive 3 s patches in seconds; ``patches``, the embedding of each. An embedding is the
200 numbers of the penultimate layer of MSD_musicnn, then those of MTT_musicnn. A file that it can make nothing of is
answered with ``error``.

The package's own `musicnn.extractor.extractor` is not called: in 0.1.0 it returns the first patch's embedding once for
every patch (``penultimate_`` stands where ``backend_`` should), and it builds the network anew for every file. Here its
`batch_data` computes the patches and its `define_model` the network, and its checkpoint is restored as it does it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tf.compat.v1.layers, which musicnn is made of, is not in Keras 3
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np
import tensorflow as tf
from musicnn import configuration, extractor, models

if int(np.__version__.split(".")[0]) > 1:
    # 10000 * float16 is float32 there and float16 since, which overflows in loud music without a word
    sys.exit("musicnn needs NumPy 1")

CHECKPOINTS = ("MSD_musicnn", "MTT_musicnn")
TAGS = 50
PATCH_FRAMES = 187
"""What the package makes of 3 s."""
PATCH_SECONDS = PATCH_FRAMES * configuration.FFT_HOP / configuration.SR
BATCH = 16


class Network:
    """One checkpoint, as `musicnn.extractor.extractor` sets it up."""

    def __init__(self, name: str) -> None:
        graph = tf.Graph()
        with graph.as_default(), tf.name_scope("model"):
            self.input = tf.compat.v1.placeholder(tf.float32, [None, PATCH_FRAMES, configuration.N_MELS])
            self.training = tf.compat.v1.placeholder(tf.bool)
            self.penultimate = models.define_model(self.input, self.training, name, TAGS)[-1]
            threads = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
            self.session = tf.compat.v1.Session(config=threads)
            tf.compat.v1.train.Saver().restore(self.session, f"{Path(models.__file__).parent / name}/")

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Return embeddings of shape (n, 200) of patches of shape (n, PATCH_FRAMES, mel bands)."""
        return self.session.run(self.penultimate, {self.input: patches, self.training: False})


def hear(networks: list[Network], path: str) -> dict[str, list]:
    """Return the answer for a file.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or has not one patch.
    """
    try:
        patches, _ = extractor.batch_data(path, PATCH_FRAMES, PATCH_FRAMES)
    except UnboundLocalError as error:  # that is how it says that there is not one patch
        raise ValueError(f"{path} is shorter than {PATCH_SECONDS} s") from error
    embeddings = []
    for start in range(0, len(patches), BATCH):
        part = patches[start : start + BATCH]
        embeddings.append(np.concatenate([network(part) for network in networks], axis=1))
    rows = np.concatenate(embeddings)
    ends = [(i + 1) * PATCH_SECONDS for i in range(len(rows))]
    return {"whole": rows.mean(axis=0).tolist(), "ends": ends, "patches": rows.tolist()}


def main() -> None:
    """Answer until the input ends."""
    with contextlib.redirect_stdout(sys.stderr):
        networks = [Network(name) for name in CHECKPOINTS]
    for line in sys.stdin:
        try:
            answer = hear(networks, line.rstrip("\n"))
        except (OSError, ValueError, tf.errors.OpError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
