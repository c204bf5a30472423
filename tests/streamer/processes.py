"""Which processes there are on this machine, and who started them."""

from __future__ import annotations

from pathlib import Path


def parents_of_processes() -> dict[int, int]:
    """Give the parent of every process that is no zombie."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(entry.parent.name)] = int(fields[1])
    return parents
