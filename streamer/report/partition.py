"""Cuts a series into stretches of like values, at the least cost there is.

The cost of a partition is the sum of the squared distances of all values from the mean of their stretch, and a penalty
for every border. Optimal partitioning (B. Jackson et al., "An algorithm for optimal partitioning of data on an
interval", IEEE Signal Processing Letters 12, 2005) finds the least cost by dynamic programming. It takes time in
proportion to the square of the number of values: seconds for some ten thousand, whatever they are like.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def partition(values: NDArray[np.float64], penalty: float, shortest: int) -> list[int]:
    """Find the stretches whose cost is least.

    Parameters
    ----------
    values : ndarray of float64, shape (n, dimensions)
        Finite.
    penalty : float
        What a border costs, in the values' unit squared; not negative.
    shortest : int
        Values that a stretch has at least; at least 1.

    Returns
    -------
    list of int
        Where the stretches begin, ascending: the first is 0. There is one stretch where there are fewer than
        ``2 * shortest`` values.
    """
    count = len(values)
    if count < 2 * shortest:
        return [0]
    columns = (values - values.mean(axis=0)).T
    sums = [np.concatenate([[0.0], np.cumsum(column)]) for column in columns]
    squares = np.concatenate([[0.0], np.cumsum(np.square(columns).sum(axis=0))])
    least = np.full(count + 1, np.inf)
    least[0] = -penalty
    before = np.zeros(count + 1, dtype=np.intp)
    lengths = np.arange(count, 0, -1.0)
    for end in range(shortest, count + 1):
        possible = end - shortest + 1  # borders before it, from 0 on
        costs = sum(np.square(total[end] - total[:possible]) for total in sums)
        costs /= lengths[count - end : count - end + possible]
        np.subtract(squares[end] - squares[:possible], costs, out=costs)
        np.maximum(costs, 0.0, out=costs)
        costs += least[:possible]
        best = int(costs.argmin())
        least[end] = costs[best] + penalty
        before[end] = best
    starts = [int(before[count])]
    while starts[-1]:
        starts.append(int(before[starts[-1]]))
    return starts[::-1]
