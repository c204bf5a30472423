"""What vibenet says of files; runs in vibenet's own environment and imports nothing of moodring.

Reads one path of a mono WAV file of 16 kHz per line. Answers each with one line of JSON: ``whole``, the numbers of the
whole file; ``ends``, the ends of its consecutive patches in seconds; ``patches``, the numbers of each. A file that it
can make nothing of is answered with ``error``.
"""

from __future__ import annotations

import json
import sys

import soundfile
from vibenet import labels, load_model
from vibenet.core import Model

RATE = 16000
PATCH_SECONDS = 10


def hear(model: Model, path: str) -> dict[str, list]:
    """Return the answer for a file.

    Raises
    ------
    OSError, RuntimeError, ValueError
        If it cannot be read.
    """
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ValueError(f"{path} is not mono at {RATE} Hz")
    length = PATCH_SECONDS * RATE
    starts = range(0, len(samples) - length + 1, length)
    said = model.predict([samples, *(samples[start : start + length] for start in starts)], RATE)
    whole, *patches = [[getattr(one, label) for label in labels] for one in said]
    return {"whole": whole, "ends": [(start + length) / RATE for start in starts], "patches": patches}


def main() -> None:
    """Answer until the input ends."""
    model = load_model()
    for line in sys.stdin:
        try:
            answer = hear(model, line.rstrip("\n"))
        except (OSError, RuntimeError, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
