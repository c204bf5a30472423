"""openSMILE's ComParE 2016 low-level descriptors of a file, through its own package, as its users do.

Prints lines of JSON; runs in opensmile's own environment and imports nothing of moodring.
"""

from __future__ import annotations

import json
import sys

import opensmile


def main() -> None:
    """Take the file that the command line names."""
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    descriptors = smile.process_file(sys.argv[1]).to_numpy()
    # one line in 50 is as often as moodring's: writing shall not be what is measured
    for row in descriptors[::50]:
        print(json.dumps([round(float(value), 4) for value in row]), flush=True)


if __name__ == "__main__":
    main()
