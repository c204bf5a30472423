"""Turn the mood of the music into the colour of a light.

Let moodring publish, for example with ``moodring listen --publish tcp://127.0.0.1:5588``, then run

    python scripts/examples/light_colour.py

It prints a colour twenty-five times a second; `show` is the place to send it to a real light instead.
"""

import argparse
import colorsys
import contextlib
import math
import sys
import time

from streamer.subscriber import Subscriber

Colour = tuple[float, float, float]  # red, green and blue, each from 0 to 1

NEUTRAL: Colour = (0.35, 0.30, 0.25)  # a dim warm white, for silence
FADE_SECONDS = 0.8  # after this time a fade has gone two thirds of its way
PATIENCE_SECONDS = 3.0  # without an estimate for so long, the light goes back to neutral
UPDATES_PER_SECOND = 25

# Hues in turns at each 45 degrees of the valence-arousal plane, counter-clockwise from pleasant: yellow, orange, red,
# crimson, purple, blue, turquoise, green, yellow. They descend without a jump, so near moods have near colours.
HUES = (0.16, 0.08, 0.01, -0.06, -0.20, -0.36, -0.50, -0.66, -0.84)


def mood_colour(valence: float, arousal: float) -> Colour:
    """Return the colour of a mood, given as two numbers in [-1, 1].

    The angle in the plane gives the hue, the distance from the centre the saturation, arousal the brightness.
    """
    angle = math.atan2(arousal, valence) % math.tau / math.tau * 8
    index = min(int(angle), 7)
    hue = HUES[index] + (angle - index) * (HUES[index + 1] - HUES[index])
    saturation = min(1.0, math.hypot(valence, arousal) / 0.5)
    return colorsys.hsv_to_rgb(hue % 1, saturation, 0.65 + 0.35 * arousal)


def fade(colour: Colour, target: Colour, seconds: float) -> Colour:
    """Return where a colour is on its way to the target after so many seconds: fast at first, then ever slower."""
    rest = math.exp(-seconds / FADE_SECONDS)
    red, green, blue = (end + (start - end) * rest for start, end in zip(colour, target, strict=True))
    return red, green, blue


def show(colour: Colour) -> None:
    """Print a colour as #rrggbb, beside a swatch of it in a terminal."""
    red, green, blue = (round(255 * part) for part in colour)
    if sys.stdout.isatty():
        print(f"\r\x1b[48;2;{red};{green};{blue}m      \x1b[0m #{red:02x}{green:02x}{blue:02x}", end="", flush=True)
    else:
        print(f"#{red:02x}{green:02x}{blue:02x}", flush=True)


def main() -> None:
    """Follow the music until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Print the colour of a light from the mood of the music.")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5588", help="where moodring publishes (%(default)s)")
    parser.add_argument("--stream", help="name of the stream to follow (default: whichever speaks)")
    arguments = parser.parse_args()

    colour = target = NEUTRAL
    heard = time.monotonic()
    with Subscriber(arguments.endpoint, arguments.stream) as subscriber:
        while True:
            estimate = subscriber.latest()
            if estimate is not None:
                heard = time.monotonic()
                if estimate.valence is None or estimate.arousal is None:
                    target = NEUTRAL
                else:
                    target = mood_colour(estimate.valence, estimate.arousal)
            elif time.monotonic() - heard > PATIENCE_SECONDS:
                target = NEUTRAL
            colour = fade(colour, target, 1 / UPDATES_PER_SECOND)
            show(colour)
            time.sleep(1 / UPDATES_PER_SECOND)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
