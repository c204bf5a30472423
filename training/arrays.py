"""Arrays in ``.npy`` files that anybody may have written: what the header claims is compared with the file first.

The format is numpy's own (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), of which only
version 1.0 is read: the one that `numpy.save` writes for arrays of numbers. `numpy.load` itself takes memory for as
much as a header claims, and takes an archive of several arrays for one.
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.features import FloatArray

_VERSION = (1, 0)


def read_floats(path: Path, columns: int) -> FloatArray:
    """Read an array of float32 of shape (rows, columns).

    Parameters
    ----------
    path : Path
    columns : int

    Returns
    -------
    ndarray of float32, shape (rows, columns)

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else, or is longer or shorter than its header claims.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a file")
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != _VERSION:
            raise ValueError("of another version")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        except (Exception, RecursionError) as error:
            # numpy evaluates the header as a literal, and what that raises for nonsense is not said anywhere
            raise ValueError("the header is damaged") from error
        if dtype != np.dtype("<f4") or fortran_order or len(shape) != 2 or shape[1] != columns:
            raise ValueError(f"holds no float32 of {columns} columns")
        left = os.fstat(file.fileno()).st_size - file.tell()
        if left != shape[0] * columns * dtype.itemsize:
            raise ValueError("its length is not what its header claims")
        rows: NDArray[Any] = np.fromfile(file, dtype, shape[0] * columns)
    return rows.reshape(shape[0], columns).astype(np.float32, copy=False)
