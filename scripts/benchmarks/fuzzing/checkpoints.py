"""Checkpoints with other headers, metadata and weights than training writes."""

from __future__ import annotations

import copy
import json
import random
import struct
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint import METADATA_KEY, Checkpoint, load_checkpoint
from model.chroma import LAYERS, PITCH_CLASSES
from model.crnn import CRNNParameters
from model.distilled_ear import DistilledEar, DistilledEarParameters
from model.ear import FFT_WINDOW, MEL_BANDS, EarFrontend
from model.ears import DistilledListener
from model.errors import MoodringError
from model.estimator import Estimator
from model.features import FeatureParameters, frontend_of
from model.network import EmotionNetwork, NetworkParameters
from model.note_spectrum import inputs_of
from scripts.benchmarks.fuzzing.mutations import FLOATS, change_value, damage, is_modest_number, strange_value
from scripts.benchmarks.fuzzing.target import Scratch, check_estimates, check_message
from streamer.framer import Framer
from streamer.offline import track
from streamer.samples import Samples

_HEARD = 2
"""Frames of noise that an accepted checkpoint estimates."""
_SIZES = (0, 1, 2, 3, 16, 1000, 10**5, 10**6, 10**9, 2**31, 2**40, 2**63)


@lru_cache
def small_checkpoints() -> tuple[bytes, ...]:
    """Return valid checkpoints of a few kilobytes: plain, with all paths and notes, with an ear, and without a CRNN."""
    sizes = CRNNParameters(conv_filters=1, fc_units=2, gru_units=2, maxout_pieces=2)
    tiny = FeatureParameters(8000, 0.05, 64, 64, 4, 30.0, 4000.0)
    whole = {"summary_units": 2, "spread_units": 2, "memory": 6, "split_planes": True, "members": 2}
    return (
        _content(tiny, NetworkParameters(window=3, crnn=sizes), None),
        _content(replace(tiny, chroma="both"), NetworkParameters(window=3, crnn=sizes, **whole), None),
        _content(
            FeatureParameters(mel_bands=4, fft_window=2048, fft_hop=2048),
            NetworkParameters(window=3, crnn=sizes, ear_columns=3, **whole),
            DistilledListener(
                EarFrontend(np.zeros((MEL_BANDS, FFT_WINDOW // 2 + 1), dtype=np.float32)),
                DistilledEar(
                    DistilledEarParameters(filters=(1, 1, 1, 1), spectrum_filters=2, outputs=3, span=2, hidden_units=2)
                ),
            ),
        ),
        _content(tiny, NetworkParameters(window=3, crnn=None, **{**whole, "split_planes": False}), None),
    )


def _content(features: FeatureParameters, network: NetworkParameters, ear: DistilledListener | None) -> bytes:
    torch.manual_seed(0)
    noise = np.random.default_rng(0)
    mel = noise.uniform(0, 1, (features.mel_bands, features.fft_window // 2 + 1)).astype(np.float32)
    tensors = {"mel_filterbank": mel, **_notes(noise)}
    if "energy" in features.chromas:
        tensors["chroma_filterbank"] = noise.uniform(0, 1, (PITCH_CLASSES, features.frame_length // 2 + 1))
    frontend = frontend_of(features, {name: values.astype(np.float32) for name, values in tensors.items()})
    scratch = Scratch()
    Checkpoint("small", frontend, EmotionNetwork(features, network).eval(), {}, {}, "none", ear).save(scratch.path)
    return scratch.path.read_bytes()


def _notes(noise: np.random.Generator) -> dict[str, np.ndarray]:
    """Return weights of a small `model.chroma.NoteChroma`."""
    shapes = ((inputs_of(3), 2), (2,), (2, 2), (2,), (2, 1), (1,))
    names = (f"notes.{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))
    return {name: noise.uniform(-1, 1, shape) for name, shape in zip(names, shapes, strict=True)}


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return a file's header and its tensors' bytes."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    """Return a file with a header, whatever that is."""
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


class CheckpointTarget:
    """`load_checkpoint`, and estimates of noise by what it accepts."""

    name = "checkpoints"

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._valid = small_checkpoints()
        self._parts = [split(content) for content in self._valid]
        self._scratch = Scratch("case.safetensors")
        self._noise = np.random.default_rng(0).uniform(-0.5, 0.5, (200_000, 1)).astype(np.float32)

    def make(self, chance: random.Random) -> bytes:
        """Return a file of which the metadata, a tensor's place, the weights or any bytes are changed."""
        which = chance.choice((0, 0, 0, 1, 1, 1, 1, 2))
        header, data = self._parts[which]
        kind = chance.random()
        if kind < 0.2:
            return damage(chance, self._valid[which], self._valid)
        if kind < 0.3:
            return self._with_strange_weights(chance, header, data)
        header = copy.deepcopy(header)
        if kind < 0.4:
            name = chance.choice([name for name in header if name != "__metadata__"])
            field = chance.choice(("dtype", "shape", "data_offsets"))
            header[name][field] = (
                chance.choice(("F64", "BF16", "I64", "BOOL", "F8_E4M3", "C64", "F4", "U8", "F32 ", 7))
                if field == "dtype"
                else [chance.choice(_SIZES) for _ in range(chance.randrange(5))]
            )
            return joined(header, data)
        metadata = json.loads(header["__metadata__"][METADATA_KEY])
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            part = chance.choice([part for part in ("features", "network", "ear", "") if metadata.get(part)] or [""])
            place = metadata if not isinstance(metadata.get(part), dict) else metadata[part]
            if part == "network" and chance.random() < 0.4 and isinstance(place.get("crnn"), dict):
                place = place["crnn"]
            name = chance.choice(list(place) or ["name"])
            old = place.get(name)
            if is_modest_number(old) and chance.random() < 0.5:
                place[name] = chance.choice((*_SIZES, old + 1, old - 1, float(old), -old, 0.5, 1e-30))
            else:
                place[name] = change_value(chance, old) if chance.random() < 0.7 else strange_value(chance)
        header["__metadata__"][METADATA_KEY] = _dumped(metadata)
        return joined(header, data)

    def check(self, content: bytes) -> bool:
        """Load the file; if it is accepted, let it hear noise."""
        path = self._scratch.write(content)
        try:
            accepted = load_checkpoint(path)
        except MoodringError as error:
            check_message(error)
            return False
        let_hear(accepted, self._noise)
        return True

    def _with_strange_weights(self, chance: random.Random, header: dict[str, Any], data: bytes) -> bytes:
        weights = bytearray(data)
        places = [field["data_offsets"] for name, field in header.items() if name != "__metadata__"]
        for _ in range(chance.choice((1, 3, 20))):
            first, end = chance.choice(places)
            value = struct.pack("<f", chance.choice(FLOATS))
            if chance.random() < 0.5:
                weights[first:end] = (value * ((end - first) // 4 + 1))[: end - first]
            elif end - first >= 4:
                at = first + 4 * chance.randrange((end - first) // 4)
                weights[at : at + 4] = value
        return joined(header, bytes(weights))


def let_hear(checkpoint: Estimator, noise: np.ndarray) -> None:
    """Estimate a few frames of noise; values that are out of range may be said, but not published."""
    parameters = checkpoint.frontend.parameters
    samples = Samples("noise", noise[: _HEARD * parameters.frame_length], parameters.sample_rate)
    try:
        check_estimates(track(samples, Framer(parameters.sample_rate, parameters), checkpoint, "a"))
    except MoodringError:
        return


def _dumped(metadata: object) -> str:
    try:
        return json.dumps(metadata)
    except (TypeError, ValueError, RecursionError):
        return "{}"


def write_sparse(path: Path, size: int) -> Path:
    """Write a file of zeros that takes no space on the disk, after a header that claims them as one tensor."""
    header = json.dumps({"network.a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    return path
