"""What a process takes, as Linux counts it (proc(5)); for the benchmarks beside it."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, field: str = "VmRSS") -> float:
    """Return a process's ``VmRSS``, or its peak ``VmHWM``, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{field}:", 1)[1].split()[0]) / 1024
