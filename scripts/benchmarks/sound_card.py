"""What a real-time path through a sound card costs in accuracy: held-out clips, played and listened to.

Plays clips, several at a time, on virtual sound cards of a sound server of its own (PulseAudio), to which one
``moodring serve`` listens as to microphones, and subscribes to what it publishes. Prints the figures of these estimates
beside those of the same clips' files, song by song. Takes as long as the music lasts, divided by `--cards`.

    python scripts/benchmarks/sound_card.py --data FOLDER [--sets 4q emotify] [--cards 12] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from model.checkpoint import load_checkpoint
from scripts.benchmarks.sound_server import PATIENCE, SoundServer
from streamer.messages import Estimate, Status
from streamer.subscriber import Subscriber
from training.audio import read_as_it_is
from training.clips import EVALUATION, Clip
from training.feature_cache import FeatureCache, default_folder
from training.figures.comparison import compare
from training.figures.layouts import comparison_layout, markdown
from training.tracks import Track, Tracks
from training.workspace import Workspace

SAMPLE_RATE = 44100
PAUSE = 3.0
"""Seconds between clips: longer than the rest after which a stream begins anew."""


class Heard:
    """Takes what is published, in a thread of its own."""

    def __init__(self, endpoint: str, cards: int) -> None:
        self.estimates: dict[str, list[Estimate]] = {f"card{card}": [] for card in range(cards)}
        self.dropped = dict.fromkeys(self.estimates, 0.0)
        self._running = dict.fromkeys(self.estimates, False)
        self.ready = threading.Event()
        self._closed = threading.Event()
        self._endpoint = endpoint
        self._thread = threading.Thread(target=self._run, name="subscriber")
        self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        with Subscriber(self._endpoint) as subscriber:
            while not self._closed.is_set():
                with suppress(TimeoutError):
                    self._take(subscriber.receive(0.5))

    def _take(self, message: Estimate | Status) -> None:
        if isinstance(message, Status):
            self.dropped[message.stream] = message.dropped
            self._running[message.stream] = message.state == "running"
            if all(self._running.values()):
                self.ready.set()
        else:
            self.estimates[message.stream].append(message)


def play(
    card: int, clips: queue.SimpleQueue[Clip], environment: dict[str, str], played: dict[Clip, tuple[str, float]]
) -> None:
    """Play clips on a card until there are no more; note on which, and when each began."""
    while True:
        try:
            clip = clips.get_nowait()
        except queue.Empty:
            return
        samples, rate = read_as_it_is(clip.source)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            soundfile.write(file.name, np.clip(samples, -1, 1), rate, subtype="FLOAT")
            time.sleep(PAUSE)
            played[clip] = f"card{card}", time.time()
            subprocess.run(["paplay", f"--device=mic{card}_sink", file.name], env=environment, check=True)


def track_of(estimates: list[Estimate], began: float, frames: int, duration: float) -> Track | None:
    """Return what was known at the end of each frame of a clip; before the first estimate, that one."""
    own = [e for e in estimates if e.valence is not None and 0 < e.time - began < frames * duration + duration]
    if not own:
        return None
    ends = np.array([e.time - began for e in own])
    values = np.array([(e.valence, e.arousal) for e in own], dtype=np.float32)
    newest = np.searchsorted(ends, (np.arange(frames) + 1) * duration + duration / 2, side="right") - 1
    return Track(values[np.maximum(newest, 0)])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled music (training/DATA.md)")
    parser.add_argument("--sets", nargs="+", default=["vgmidi", "emotify", "4q", "emopia"], help="data sets")
    parser.add_argument("--model", default="default", help="a bundled model (default: default)")
    parser.add_argument("--cards", type=int, default=12, help="virtual sound cards (default 12)")
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    options = parser.parse_args()
    console = Console()
    workspace = Workspace.open(options.data, 1, console)
    clips = {name: [c for c in workspace.clips[name] if c.part == EVALUATION] for name in options.sets}
    checkpoint = load_checkpoint(options.model)
    cache = FeatureCache(default_folder(), checkpoint.frontend, ear=checkpoint.ear)
    offline = workspace.tracks(checkpoint, clips, cache)
    # the longest first, so that the cards are done at about the same time
    waiting: queue.SimpleQueue[Clip] = queue.SimpleQueue()
    for clip in sorted(
        (c for of_set in clips.values() for c in of_set), key=lambda c: -len(offline[c.dataset][c.name].values)
    ):
        waiting.put(clip)
    played: dict[Clip, tuple[str, float]] = {}
    endpoint = f"tcp://127.0.0.1:{20000 + os.getpid() % 20000}"
    cards = [f"mic{i}" for i in range(options.cards)]
    with tempfile.TemporaryDirectory() as scratch, SoundServer(Path(scratch), cards, SAMPLE_RATE) as server:
        configuration = Path(scratch) / "serve.toml"
        streams = (f'[streams.card{i}]\ntype = "microphone"\ndevice = "mic{i}"\n' for i in range(options.cards))
        configuration.write_text(
            f'model = "{options.model}"\n[publish]\nendpoint = "{endpoint}"\n[http]\nenabled = false\n'
            + "".join(streams)
        )
        moodring = Path(sys.executable).with_name("moodring")
        service = subprocess.Popen(
            [moodring, "serve", configuration], env=server.environment, stderr=subprocess.DEVNULL
        )
        heard = Heard(endpoint, options.cards)
        try:
            if not heard.ready.wait(PATIENCE):
                raise SystemExit("the service does not hear all cards")
            players = [
                threading.Thread(target=play, args=(card, waiting, server.environment, played))
                for card in range(options.cards)
            ]
            for player in players:
                player.start()
            while any(player.is_alive() for player in players):
                players[0].join(30)
                time.sleep(1)
                print(f"{len(played)} clips played, {waiting.qsize()} to come", flush=True)
            time.sleep(PAUSE)
        finally:
            service.terminate()
            service.wait()
            heard.close()
    duration = checkpoint.frontend.parameters.frame_duration
    live: Tracks = {}
    for clip, (card, began) in played.items():
        track = track_of(heard.estimates[card], began, len(offline[clip.dataset][clip.name].values), duration)
        if track is not None:
            live.setdefault(clip.dataset, {})[clip.name] = track
    silent = len(played) - sum(len(of_set) for of_set in live.values())
    offline = {name: {clip: offline[name][clip] for clip in of_set} for name, of_set in live.items()}
    print(f"{len(played)} clips, {silent} without an estimate; audio dropped: {sum(heard.dropped.values()):.2f} s")
    table = markdown([comparison_layout(compare(live, offline, workspace.clips), "sound card", "file")])
    print(table)
    if options.markdown:
        options.markdown.write_text(table)


if __name__ == "__main__":
    main()
