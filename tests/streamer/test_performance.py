from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from streamer.display import Display, make_display
from streamer.performance import perform
from streamer.publisher import Publisher
from streamer.samples import Samples
from streamer.source import Source

ANY_PORT = "tcp://127.0.0.1:*"
Run = Callable[[Display, Source], str]


@pytest.fixture
def run(checkpoint: Checkpoint) -> Run:
    def run(display: Display, source: Source) -> str:
        publisher = Publisher(ANY_PORT)
        perform(source, "room", checkpoint, publisher, display, 0.0, paced=False)
        return publisher.endpoint

    return run


def test_a_terminal_that_is_gone_before_the_start_is_what_is_reported(run: Run) -> None:
    display = make_display(ANY_PORT, "moodring", quiet=True, json=False)

    class Gone(type(display)):  # type: ignore[misc]
        def __enter__(self) -> Display:
            raise BrokenPipeError("the terminal is gone")

    source = Samples("silence", np.zeros((22050, 1), dtype=np.float32), 22050)
    with pytest.raises(BrokenPipeError, match="the terminal is gone"):
        run(Gone(), source)
    assert list(source.blocks()) == []
