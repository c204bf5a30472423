"""vibenet's seven numbers of a whole file, through its own package, as its users do.

Prints a line of JSON; runs in vibenet's own environment and imports nothing of moodring.
"""

from __future__ import annotations

import json
import sys

from vibenet import labels, load_model


def main() -> None:
    """Take the file that the command line names."""
    (said,) = load_model().predict(sys.argv[1])
    print(json.dumps({label: getattr(said, label) for label in labels}), flush=True)


if __name__ == "__main__":
    main()
