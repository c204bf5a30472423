"""Keeps what libraries written in C print away from standard output, which belongs to the rows of a table or to JSON.

libsndfile prints with ``printf`` about damaged MIDI sample dumps and ALAC tables. That goes through C's own buffer,
into the same file as Python's output, at any time. C's standard output is a variable: another file in it, and
``printf`` writes there, while the descriptor, and with it Python and the terminal, stay as they are.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys


def discard_native_output() -> None:
    """Let C code of this process print to the null device, where the C library is known to allow it."""
    if sys.platform == "darwin":
        name = "__stdoutp"
    elif platform.libc_ver()[0] == "glibc":
        name = "stdout"
    else:
        return  # elsewhere it is a constant
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    null = library.fopen(os.devnull.encode(), b"w")
    if null:
        ctypes.c_void_p.in_dll(library, name).value = null
