"""Cuts a series into stretches of like values, at the least cost there is.

The cost of a partition is the sum of the squared distances of all values from the mean of their stretch, and a penalty
for every border. Optimal partitioning (B. Jackson et al., "An algorithm for optimal partitioning of data on an
interval", IEEE Signal Processing Letters 12, 2005) finds the least cost by dynamic programming; what can never be the
last border again is left out, as in PELT (R. Killick, P. Fearnhead, I. A. Eckley, "Optimal detection of changepoints
with a linear computational cost", Journal of the American Statistical Association 107, 2012), here with regard to the
shortest stretch that is allowed, so that the result stays exact.
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
        ``2 * shortest`` values, and of partitions of equal cost one with the fewest borders that is tried first.
    """
    count = len(values)
    centred = values - values.mean(axis=0, keepdims=True) if count else values
    sums = np.concatenate([np.zeros((1, centred.shape[1])), np.cumsum(centred, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(centred).sum(axis=1))])
    least = np.full(count + 1, np.inf)
    least[0] = -penalty
    before = np.zeros(count + 1, dtype=np.intp)
    candidates = np.array([0], dtype=np.intp)
    out_of_use = np.full(count + 1, np.iinfo(np.intp).max, dtype=np.intp)
    for end in range(shortest, count + 1):
        possible = candidates[candidates <= end - shortest]
        lengths = end - possible
        spread = squares[end] - squares[possible] - np.square(sums[end] - sums[possible]).sum(axis=1) / lengths
        costs = least[possible] + np.maximum(spread, 0.0)
        best = int(costs.argmin())
        least[end] = costs[best] + penalty
        before[end] = possible[best]
        # such a border is worse than one at `end`, from where on `end` may be one: a shortest stretch later
        worse = possible[costs > least[end]]
        out_of_use[worse] = np.minimum(out_of_use[worse], end + shortest)
        candidates = np.append(candidates[out_of_use[candidates] > end + 1], end)
    starts = [int(before[count])]
    while starts[-1]:
        starts.append(int(before[starts[-1]]))
    return starts[::-1]
