"""What the page's cursor needs of a file, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from streamer.circumplex import NEUTRAL, NEUTRAL_RADIUS, OCTANTS, STRONG_RADIUS
from streamer.report.curve import Curve, Values
from streamer.report.drawings import runs
from streamer.report.sections import Section


def cursor_data(curve: Curve, sections: Sequence[Section], duration: float) -> str:
    """Return the curve and where its sections begin, to stand in a script element of a page.

    Parameters
    ----------
    curve : Curve
    sections : sequence of Section
    duration : float
        Seconds.

    Returns
    -------
    str
        JSON; valence, arousal and their standard deviations are in hundredths, null where there are none.
    """
    content = {
        "step": curve.step,
        "duration": round(duration, 3),
        "valence": _hundredths(curve.valence),
        "arousal": _hundredths(curve.arousal),
        "valence_std": _hundredths(curve.valence_std),
        "arousal_std": _hundredths(curve.arousal_std),
        "loudness": np.rint(curve.loudness).astype(int).tolist(),
        "warming": list(runs(curve.warming)),
        "sections": [round(section.start, 3) for section in sections],
        "circle": {
            "neutral": NEUTRAL,
            "neutral_radius": NEUTRAL_RADIUS,
            "strong_radius": STRONG_RADIUS,
            "octants": [[octant.angle, octant.mild, octant.strong] for octant in OCTANTS],
        },
    }
    return json.dumps(content, separators=(",", ":"))


def _hundredths(values: Values) -> list[int | None]:
    return [None if np.isnan(value) else round(value * 100) for value in values.tolist()]
