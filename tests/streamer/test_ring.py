from __future__ import annotations

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.ring import RingBuffer


def _numbers(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None]


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 150)), max_size=60))
def test_nothing_is_lost_silently(steps: list[tuple[bool, int]]) -> None:
    ring = RingBuffer(100, 1)
    written = read = 0
    for writes, count in [*steps, (False, 1000)]:
        if writes:
            ring.write(_numbers(written, count))
            written += count
        else:
            samples, lost = ring.read(0, count if count > 50 else None)
            assert lost == max(0, written - read - 100)
            expected = np.arange(read + lost, written)
            np.testing.assert_array_equal(samples[:, 0], expected[:count] if count > 50 else expected)
            read += lost + len(samples)
            assert ring.consumed == read


def test_a_waiting_reader_is_woken() -> None:
    ring = RingBuffer(100, 2)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(ring.read(30)))
    reader.start()
    ring.write(np.ones((5, 2), np.float32))
    reader.join(5)
    assert not reader.is_alive()
    assert heard[0][0].shape == (5, 2)


def test_reader_and_writer_at_full_speed() -> None:
    ring = RingBuffer(2000, 1)
    total = 400_000

    def write() -> None:
        for start in range(0, total, 500):
            ring.write(_numbers(start, 500))

    writer = threading.Thread(target=write)
    writer.start()
    position = 0
    while position < total:
        samples, lost = ring.read(1.0)
        position += lost
        np.testing.assert_array_equal(samples[:, 0], np.arange(position, position + len(samples)))
        position += len(samples)
    writer.join()
    assert position == total
