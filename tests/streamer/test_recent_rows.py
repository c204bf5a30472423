from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.recent_rows import RecentRows


@given(capacity=st.integers(1, 7), events=st.lists(st.sampled_from(["append"] * 9 + ["clear"]), max_size=60))
def test_it_is_a_bounded_queue_whose_arrays_never_change(capacity: int, events: list[str]) -> None:
    rows = RecentRows(capacity)
    expected: deque[np.ndarray] = deque(maxlen=capacity)
    given_before: list[tuple[np.ndarray, list[np.ndarray]]] = []
    for number, event in enumerate(events):
        if event == "clear":
            rows.clear()
            expected.clear()
        else:
            row = np.array([number, -number, 0.5], np.float32)
            rows.append(row)
            expected.append(row)
            given_before.append((rows.array(), list(expected)))
        assert len(rows) == len(expected)
    for array, then in given_before:
        np.testing.assert_array_equal(array, np.stack(then))
        assert array.flags.c_contiguous
