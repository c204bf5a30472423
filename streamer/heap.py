"""Gives memory that nothing needs any more back to the system, which C libraries otherwise keep for what may come.

What a thousand connections at once took would stay with a process that runs for days.

Source: malloc_trim(3) of the GNU C library. Others have no such function, and nothing happens.
"""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache


def give_back_freed_memory() -> None:
    """Let the allocator of C code give back what was freed; takes a few milliseconds, in which Python goes on."""
    if _has_malloc_trim():
        ctypes.CDLL(None).malloc_trim(0)


@lru_cache(maxsize=1)
def _has_malloc_trim() -> bool:
    # it reads the interpreter's file
    return platform.libc_ver()[0] == "glibc"
