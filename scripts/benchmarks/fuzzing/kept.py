"""Files that training keeps and reads again: states, tracks, systems, notes and feature caches."""

from __future__ import annotations

import hashlib
import io
import json
import random

import numpy as np
import torch
from safetensors.torch import load, save

from model.errors import MoodringError
from scripts.benchmarks.fuzzing.checkpoints import joined, split
from scripts.benchmarks.fuzzing.mutations import change_value, damage
from scripts.benchmarks.fuzzing.target import Scratch, check_message
from training.arrays import read_floats
from training.note_file import bundled_notes, read_notes
from training.paper.system_file import is_system_file, read_system
from training.state import State, read_state, tensors_digest, write_state
from training.tracks import Track, read_tracks, write_tracks

_COLUMNS = 4
_KINDS = ("state", "tracks", "system", "notes", "array")


class KeptTarget:
    """The readers of training's own files; the first byte of a case says which."""

    name = "kept"

    def __init__(self) -> None:
        self._scratch = Scratch("case")
        state, tracks = Scratch(), Scratch()
        write_state(state.path, State({"a.b": torch.zeros(3), "generator.torch": torch.get_rng_state()}, {"steps": 1}))
        values = np.zeros((3, 2), dtype=np.float32)
        write_tracks(tracks.path, {"set": {"clip": Track(values, values)}}, {"model": "a"})
        array = io.BytesIO()
        np.save(array, np.zeros((5, _COLUMNS), dtype=np.float32))
        system = save(
            {"component.0.weight": torch.zeros(2)},
            {"moodring-system": json.dumps({"version": 1, "configuration": {}, "columns": 4, "training": {}})},
        )
        self._valid = [
            state.path.read_bytes(),
            tracks.path.read_bytes(),
            system,
            bundled_notes().read_bytes(),
            array.getvalue(),
        ]

    def make(self, chance: random.Random) -> bytes:
        """Return a byte that chooses the reader, and a damaged file."""
        which = chance.randrange(len(_KINDS))
        content = self._valid[which]
        if _KINDS[which] != "array" and chance.random() < 0.6:
            header, data = split(content)
            content = joined(_resealed(change_value(chance, header), data), data)
        elif _KINDS[which] == "array" and chance.random() < 0.6:
            written = chance.choice(("'<f4'", "'|O'", "'<U9999999'", "'<f8'", "[('a', '<f4')]", "-" * 200 + "1", "("))
            shape = chance.choice(("(5, 4)", "(1099511627776, 4)", "(5,)", "(-1, 4)", "(5, 4, 1)", "(0, 4)"))
            order = chance.choice(("False", "True", "3"))
            header = f"{{'descr': {written}, 'fortran_order': {order}, 'shape': {shape}, }}"
            padded = header.encode().ljust(117) + b"\n"
            content = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + content[128:]
        if chance.random() < 0.5:
            content = damage(chance, content, self._valid)
        return bytes([which]) + content

    def check(self, content: bytes) -> bool:
        """Read the file with its reader."""
        which = _KINDS[(content[0] if content else 0) % len(_KINDS)]
        path = self._scratch.write(content[1:])
        try:
            if which == "state":
                assert isinstance(read_state(path).notes, dict)
            elif which == "tracks":
                read_tracks(path)
            elif which == "system":
                is_system_file(path)
                read_system(path)
            elif which == "notes":
                read_notes(path)
            else:
                read_floats(path, _COLUMNS)
        except MoodringError as error:
            check_message(error)
            return False
        except ValueError:
            assert which == "array"
            return False
        return True


def _resealed(header: object, data: bytes) -> object:
    """Make a state's checksum right again, so that what is inside is looked at."""
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        metadata = header["__metadata__"]
        notes = metadata.get("moodring-state")
        if isinstance(notes, str):
            try:
                digest = tensors_digest(load(joined(header, data)))
            except Exception:
                return header
            metadata["sha256"] = hashlib.sha256((digest + notes).encode(errors="replace")).hexdigest()
    return header
