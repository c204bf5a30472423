"""Drive the intensity of a game's music, a level from 0 to 3, from what the room is listening to.

Let moodring publish, for example with ``moodring listen --publish tcp://127.0.0.1:5588``, then run

    python scripts/examples/music_intensity.py

It prints the level whenever it changes; `show` is the place to set it in the game's audio engine instead.
"""

import argparse
import contextlib

from streamer.subscriber import PublisherSilent, Subscriber

THRESHOLDS = (-0.3, 0.0, 0.3)  # arousal between levels 0 and 1, 1 and 2, 2 and 3
MARGIN = 0.08  # arousal has to go so far beyond a threshold, so that the level does not flap when it lingers there
NAMES = ("calm", "light", "driving", "full")


def next_level(level: int, arousal: float) -> int:
    """Return the level that follows a level (0 to 3) when the music has this arousal (-1 to 1)."""
    while level < len(THRESHOLDS) and arousal > THRESHOLDS[level] + MARGIN:
        level += 1
    while level > 0 and arousal < THRESHOLDS[level - 1] - MARGIN:
        level -= 1
    return level


def calmed(level: int) -> int:
    """Return the level after silence: one less each time, so that the music does not break off."""
    return max(0, level - 1)


def show(level: int) -> None:
    """Print the level."""
    print(f"{level} {'#' * level:3} {NAMES[level]}", flush=True)


def main() -> None:
    """Follow the music until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Print an intensity from 0 to 3 from the arousal of the music.")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5588", help="where moodring publishes (%(default)s)")
    parser.add_argument("--stream", help="name of the stream to follow (default: whichever speaks)")
    arguments = parser.parse_args()

    level = 0
    show(level)
    with Subscriber(arguments.endpoint, arguments.stream) as subscriber:
        while True:
            before = level
            try:
                estimate = next(subscriber)
            except PublisherSilent:
                level = calmed(level)
            else:
                if estimate.state == "silence":
                    level = calmed(level)
                elif estimate.arousal is not None:
                    level = next_level(level, estimate.arousal)
            if level != before:
                show(level)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
