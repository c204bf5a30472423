"""Several processes that train one network: what they tell each other, which is tensors and nothing else.

Every process computes the same loss from the whole batch's outputs. What is summed over the processes is differentiated
as the sum of all their losses, and so are gathered rows: with n processes, gradients are n times the loss's own, which
the mean that torch's distributed data parallel takes of them undoes.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from training.tables import DataError

LONGEST_SILENCE = timedelta(minutes=5)
"""How long a process waits for the others within a step, which takes seconds at most, before it takes them for lost."""
_POLL = 0.05
_DTYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)}
_INTERFACE = "GLOO_SOCKET_IFNAME"


@dataclass(frozen=True)
class Place:
    """Where a process stands among those that train together.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many there are.
    local_rank, local_size : int
        The same on its own machine.
    store : torch.distributed.Store
        What all of them can read and write before they are connected.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    store: Store

    @classmethod
    def of_torchrun(cls) -> Place | None:
        """Return the place that torchrun, or whoever sets the same variables, has given to this process; None if none.

        Raises
        ------
        DataError
            If the variables do not say where the others are.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return None
        try:
            store, rank, size = next(rendezvous("env://", timeout=LONGEST_SILENCE))
            local_rank = int(os.environ.get("LOCAL_RANK", rank))
            local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        except (ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"cannot find the other processes by RANK, WORLD_SIZE and MASTER_ADDR: {reason}") from error
        return cls(rank, size, local_rank, local_size, store)

    @property
    def device(self) -> torch.device:
        """A GPU of its own, if its machine has one for each of its processes; otherwise the CPU."""
        if torch.cuda.device_count() >= self.local_size:
            return torch.device("cuda", self.local_rank)
        return torch.device("cpu")

    def announce(self, key: str, value: str = "") -> None:
        """Let the others see a key."""
        self.store.set(key, value)

    def is_announced(self, key: str) -> bool:
        """Tell whether a key is there."""
        return bool(self.store.check([key]))

    def wait_for(self, key: str) -> str:
        """Return what another process has announced, however long that takes: it may compute features for hours."""
        while not self.is_announced(key):
            time.sleep(_POLL)
        value: bytes = self.store.get(key)
        return value.decode()


def loopback_only() -> dict[str, str]:
    """Return the environment by which processes of this machine connect over nothing but its loopback interface."""
    names = (
        [name for _, name in socket.if_nameindex() if name.startswith("lo")] if hasattr(socket, "if_nameindex") else []
    )
    return {_INTERFACE: names[0]} if names and _INTERFACE not in os.environ else {}


def is_connection_lost(error: RuntimeError) -> bool:
    """Tell whether torch has raised an error because another process does not answer."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL", "Connection"))


class Group:
    """The processes that train together, connected.

    Parameters
    ----------
    place : Place
        All processes come here at the same time.
    """

    def __init__(self, place: Place) -> None:
        self.rank, self.size, self.device = place.rank, place.size, place.device
        self._place = place
        self._jobs = 0
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        dist.init_process_group(
            "nccl" if self.device.type == "cuda" else "gloo",
            store=PrefixStore("group", place.store),
            rank=self.rank,
            world_size=self.size,
            timeout=LONGEST_SILENCE,
        )
        # apart from those that distributed data parallel makes of its own accord while a gradient is computed
        self._own = dist.new_group(timeout=LONGEST_SILENCE)

    def close(self) -> None:
        """Disconnect."""
        dist.destroy_process_group()

    def offer_job(self, whether: bool) -> None:
        """Tell the others that there is something to train, or that there will be nothing more."""
        self._place.announce(f"job{self._jobs}", "train" if whether else "end")
        self._jobs += 1

    def wait_for_job(self) -> bool:
        """Wait for what the first process offers; tell whether there is something to train."""
        offered = self._place.wait_for(f"job{self._jobs}")
        self._jobs += 1
        return offered == "train"

    def share(self, notes: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
        """Give what the first process has to all.

        Parameters
        ----------
        notes : object
            What JSON can hold.
        tensors : mapping
            Of the CPU. What the other processes give for both is ignored.

        Returns
        -------
        notes : object
        tensors : dict
        """
        layout = [[name, str(tensor.dtype), list(tensor.shape)] for name, tensor in tensors.items()]
        header = torch.frombuffer(bytearray(json.dumps([notes, layout]).encode()), dtype=torch.uint8)
        length = self._from_first(torch.tensor([len(header)]))
        header = self._from_first(header if self.rank == 0 else torch.empty(int(length), dtype=torch.uint8))
        notes, layout = json.loads(header.numpy().tobytes())
        shared = {}
        for name, dtype, shape in layout:
            tensor = tensors[name] if self.rank == 0 else torch.empty(shape, dtype=_DTYPES[dtype])
            shared[name] = self._from_first(tensor)
        return notes, shared

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over the processes, which is not differentiated."""
        total = x.contiguous().clone()
        dist.all_reduce(total, group=self._own)
        return total

    def _from_first(self, tensor: Tensor) -> Tensor:
        moved = tensor.contiguous().to(self.device)
        dist.broadcast(moved, 0, group=self._own)
        return moved.cpu()
