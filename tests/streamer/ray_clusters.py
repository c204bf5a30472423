"""A Ray cluster of several machines, which are processes of this one and talk over loopback.

It belongs to a process of its own, with which all of it ends; and that one ends when whoever started it does.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.streamer.processes import parents_of_processes

_SCRIPT = """
import ctypes, json, logging, os, signal, sys
from pathlib import Path
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what loses its parent becomes a child of this process
import ray.cluster_utils

logging.disable()
machine = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20, "include_log_monitor": False}
cluster = ray.cluster_utils.Cluster(shutdown_at_exit=False)
cluster.add_node(num_cpus=0, include_dashboard=False, **machine)
machines = [cluster.add_node(num_cpus=1, **machine) for _ in range(int(sys.argv[1]))]
raylets = [node.all_processes["raylet"][0].process.pid for node in machines]
print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
sys.stdin.read()
while children := " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children")).split():
    for child in map(int, children):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
os._exit(0)
"""
_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # which leaves addresses of loopback as they are
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}
"""Beside staying on loopback: work waits for no other program, and a lost machine is missed after 2 seconds, not 15."""

_DEADLINE = 60.0


def below(pid: int) -> list[int]:
    """Give a process and all that it started, and these, for as long as they have their parents."""
    parents = parents_of_processes()
    found = [pid] if pid in parents else []
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found


class Cluster:
    """A cluster whose head has no processor, and machines with one each.

    Attributes
    ----------
    address : str
        The head's.
    environment : dict of str to str
        For programs that connect to it.
    machines : list of int
        The process of each machine that starts the others.
    """

    def __init__(self, address: str, machines: list[int], environment: dict[str, str]) -> None:
        self.address = address
        self.machines = machines
        self.environment = environment

    def lose(self, machine: int) -> None:
        """Kill all processes of a machine at once."""
        for pid in below(self.machines[machine]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def ray_cluster(machines: int) -> Iterator[Cluster]:
    """Start a cluster, which ends with the context."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # the names of sockets in it must be short
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, **_ENVIRONMENT, **secret, "RAY_TMPDIR": str(folder)}
    owner = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(machines)],
        env=environment,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    try:
        line = owner.stdout.readline()
        assert line, "the cluster did not start"
        said = json.loads(line)
        yield Cluster(said["address"], said["raylets"], environment)
    finally:
        owner.stdin.close()
        try:
            owner.wait(_DEADLINE)
        finally:
            owner.kill()
            shutil.rmtree(folder, ignore_errors=True)
