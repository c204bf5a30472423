"""What a large archive and a city of live streams cost, from what was measured on one: prints SCALE.md's tables.

Every figure that goes in is an option; put your own there.

    python scripts/benchmarks/scale.py [--tracks 1e6 1e8] [--streams 1e5] [--minutes 4] ...
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

SECONDS_PER_DAY = 86400
PACKET_HEADERS = 78
"""Bytes that a TCP segment takes besides what it carries: Ethernet with gap and preamble 38, IPv4 20, TCP 20."""


@dataclass(frozen=True)
class Figure:
    """A figure that goes in: its default, its unit, and what it is and where it comes from."""

    default: float
    unit: str
    what: str


ASSUMED = {
    "minutes": Figure(4, "min", "length of a track"),
    "kilobits": Figure(192, "kbit/s", "bit rate of a track"),
    "machine-cores": Figure(32, "cores", "cores of a machine of the cluster"),
    "days": Figure(1, "days", "in which the archive shall be done"),
    "load": Figure(0.7, "", "share of a core that live trackers and hubs may use"),
    "trackers-per-hub": Figure(1000, "", "streams that one hub of the first level listens to"),
    "subscribers": Figure(50, "", "subscribers of everything, at the top"),
}
MEASURED = {
    "cpu-per-hour": Figure(11.3, "CPU-s", "an hour of MP3, one process (archive.py)"),
    "ray-factor": Figure(1.41, "x", "the same by Ray (archive.py)"),
    "parquet-per-hour": Figure(257, "kB", "Parquet of an hour of audio (archive.py)"),
    "streams-core-share": Figure(0.71, "cores", "200 live streams (streams.py, RESULTS.md)"),
    "streams-memory": Figure(292, "MB", "200 live streams (streams.py, RESULTS.md)"),
    "bytes-per-stream": Figure(826, "B/s", "messages of a live stream (wire.py)"),
    "hub-core-share": Figure(0.25, "cores", "a hub, 2000 messages/s in and 100,000 out (hub.py, RELIABILITY.md)"),
}
STREAMS_MEASURED = 200
MESSAGES_PER_STREAM = 3
"""Two estimates and a status a second."""
HUB_MESSAGES_OUT = 100_000


def archive_table(tracks: list[float], f: dict[str, float]) -> list[tuple[str, ...]]:
    """Compute what archives of so many tracks cost.

    Parameters
    ----------
    tracks : list of float
    f : dict of str to float
        The figures, by the names of `ASSUMED` and `MEASURED`.

    Returns
    -------
    list of tuple of str
        A heading, and a row for each quantity.
    """
    rows: list[tuple[str, ...]] = [("", *(f"{count:,.0f} tracks" for count in tracks))]
    hours = [count * f["minutes"] / 60 for count in tracks]
    cpu_hours = [h * f["cpu_per_hour"] * f["ray_factor"] / 3600 for h in hours]
    read = [h * f["kilobits"] * 1000 / 8 * 3600 for h in hours]
    window = f["days"] * SECONDS_PER_DAY
    cores = [math.ceil(c * 3600 / window) for c in cpu_hours]
    rows.append(("audio", *(f"{h:,.0f} h" for h in hours)))
    rows.append(("processor", *(f"{c:,.0f} CPU-h" for c in cpu_hours)))
    rows.append((f"cores, to be done in {f['days']:g} days", *(f"{c:,}" for c in cores)))
    rows.append(
        (f"machines of {f['machine_cores']:g} cores", *(f"{math.ceil(c / f['machine_cores']):,}" for c in cores))
    )
    rows.append(("audio to read", *(f"{r / 1e12:,.2f} TB" for r in read)))
    rows.append(("network from storage meanwhile", *(f"{r * 8 / window / 1e9:,.2f} Gbit/s" for r in read)))
    rows.append(("rows", *(f"{h * 7200 / 1e9:,.2f} billion" for h in hours)))
    rows.append(("Parquet to keep", *(f"{h * f['parquet_per_hour'] / 1e6:,.1f} GB" for h in hours)))
    rows.append(("Parquet files of 64 tracks", *(f"{math.ceil(count / 64):,}" for count in tracks)))
    return rows


def city_table(streams: float, f: dict[str, float]) -> list[tuple[str, ...]]:
    """Compute what so many live streams need.

    Parameters
    ----------
    streams : float
    f : dict of str to float

    Returns
    -------
    list of tuple of str
        A heading, and a row for each quantity.
    """
    cores = streams * f["streams_core_share"] / STREAMS_MEASURED / f["load"]
    processes = math.ceil(streams / STREAMS_MEASURED)
    first = math.ceil(streams / f["trackers_per_hub"])
    per_message = f["hub_core_share"] / HUB_MESSAGES_OUT
    messages = streams * MESSAGES_PER_STREAM
    wire = f["bytes_per_stream"] + MESSAGES_PER_STREAM * PACKET_HEADERS
    top_out = messages * f["subscribers"]
    top_cores = top_out * per_message / f["load"]
    return [
        ("", f"{streams:,.0f} streams"),
        ("tracking: cores", f"{cores:,.0f}"),
        (f"tracking: processes of {STREAMS_MEASURED} streams", f"{processes:,}"),
        ("tracking: memory", f"{processes * f['streams_memory'] / 1e3:,.0f} GB"),
        ("messages", f"{messages:,.0f} a second"),
        ("bandwidth of all trackers, one message a packet", f"{streams * wire * 8 / 1e6:,.0f} Mbit/s"),
        (f"hubs of {f['trackers_per_hub']:g} streams", f"{first:,}"),
        ("… each: in", f"{f['trackers_per_hub'] * wire * 8 / 1e6:,.1f} Mbit/s"),
        (
            f"… each, with {f['subscribers']:g} subscribers of all its streams: cores",
            f"{f['trackers_per_hub'] * MESSAGES_PER_STREAM * f['subscribers'] * per_message:,.2f}",
        ),
        (f"everything to {f['subscribers']:g} subscribers: messages", f"{top_out:,.0f} a second"),
        ("… cores of hubs", f"{top_cores:,.0f}"),
        ("… bandwidth", f"{streams * wire * 8 * f['subscribers'] / 1e9:,.1f} Gbit/s"),
        ("… hubs of one core, each with a share of the streams", f"{math.ceil(top_cores):,}"),
    ]


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows as a table in Markdown."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    print("\n".join((head, "|" + " --- |" * len(rows[0]), *others)), end="\n\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=float, nargs="+", default=[1e6, 1e8], help="sizes of archives")
    parser.add_argument("--streams", type=float, default=1e5, help="live streams")
    for name, figure in (ASSUMED | MEASURED).items():
        text = f"{figure.what} (default {figure.default:g} {figure.unit})"
        parser.add_argument(f"--{name}", type=float, default=figure.default, help=text)
    figures = vars(parser.parse_args())
    print_table(archive_table(figures["tracks"], figures))
    print_table(city_table(figures["streams"], figures))


if __name__ == "__main__":
    main()
