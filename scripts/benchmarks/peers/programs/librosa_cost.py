"""Feature extraction alone with librosa: a file's log-mel spectrogram of 128 bands and chromagram, as its users do.

Prints one line per column as JSON; runs in librosa's own environment and imports nothing of moodring.
"""

from __future__ import annotations

import json
import sys

import librosa
import numpy as np


def main() -> None:
    """Take the file that the command line names."""
    samples, rate = librosa.load(sys.argv[1])
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, sr=rate))
    chroma = librosa.feature.chroma_stft(y=samples, sr=rate)
    # one line in 22 is as often as moodring's: writing shall not be what is measured
    for column in np.concatenate([mel, chroma]).T[::22]:
        print(json.dumps([round(float(value), 4) for value in column]), flush=True)


if __name__ == "__main__":
    main()
