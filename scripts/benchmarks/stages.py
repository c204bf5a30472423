"""Where the time of a frame goes, from the sound card's blocks to the subscriber, and how far that is from a floor.

Runs each stage by itself on warm data, for one frame at a time and for a large batch, in turns with the same arithmetic
in as few calls of numpy, soxr, the network's runtime or libzmq as can be. Prints medians in microseconds per 500 ms
frame, and their ratio; the sum is of the stages of one stream.

    python scripts/benchmarks/stages.py [--rounds 100] [--batch 64] [--model default] [--runtime onnx|torch]
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.fft
import soxr
import zmq

from model.loading import RUNTIMES, load_model
from model.note_spectrum import NoteSpectrum
from streamer.composer import compose
from streamer.framer import Framer
from streamer.messages import Estimate, Mood, encode
from streamer.publisher import Publisher
from streamer.ring import RingBuffer

CARD_RATE = 44100
CHANNELS = 2
BLOCK = 441
"""Samples per channel that a sound card delivers at once: 10 ms."""
BLOCKS_PER_FRAME = CARD_RATE // 2 // BLOCK
EPSILON = np.float32(1e-10)

Work = Callable[[], object]


@dataclass
class Stage:
    """A stage and its floor, and how many frames each works on; `summed` if it is a part of a live stream's cost."""

    name: str
    floor_name: str
    run: Work
    floor: Work
    frames: int = 1
    floor_frames: int = 1
    summed: bool = True


def seconds_of(work: Work) -> float:
    """Return how long something takes, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(stage: Stage, rounds: int) -> tuple[float, float]:
    """Return the medians of stage and floor in microseconds per frame, run in turns."""
    for _ in range(3):
        stage.run()
        stage.floor()
    pairs = [(seconds_of(stage.run), seconds_of(stage.floor)) for _ in range(rounds)]
    ours, floor = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    return ours / stage.frames, floor / stage.floor_frames


def capture_stage(stereo: np.ndarray) -> Stage:
    """Through the ring between the sound card's callback and its reader."""
    blocks = [stereo[i * BLOCK :][:BLOCK] for i in range(BLOCKS_PER_FRAME)]
    ring = RingBuffer(10 * CARD_RATE, CHANNELS)
    target = np.empty((BLOCKS_PER_FRAME * BLOCK, CHANNELS), np.float32)

    def run() -> None:
        for block in blocks:
            ring.write(block)
            ring.read(0)

    def floor() -> None:
        np.copyto(target, stereo[: len(target)])

    return Stage("capture (ring)", "one copy", run, floor)


def resample_stage(stereo: np.ndarray, parameters: Any) -> Stage:
    """To mono frames at the model's rate, block by block."""
    framer = Framer(CARD_RATE, parameters)
    blocks = [stereo[i * BLOCK :][:BLOCK] for i in range(BLOCKS_PER_FRAME)]
    minute = np.ascontiguousarray(np.tile(stereo, (120, 1))[: 60 * CARD_RATE, 0])

    def run() -> None:
        for _ in range(120):
            for block in blocks:
                for _frame in framer.push(block):
                    pass

    def floor() -> None:
        soxr.resample(minute, CARD_RATE, parameters.sample_rate, quality="HQ")

    return Stage("resample, cut", "soxr, a minute at once", run, floor, frames=120, floor_frames=120)


def logmel_stage(frontend: Any, frames: np.ndarray, large: np.ndarray) -> Stage:
    """Log-mel and chroma; the floor's FFTs and products are those of a large batch, tapered beforehand."""
    p = frontend.parameters
    columns = np.lib.stride_tricks.sliding_window_view(large, p.fft_window, axis=1)[:, :: p.fft_hop]
    tapered = np.ascontiguousarray(columns * np.hanning(p.fft_window).astype(np.float32)).reshape(-1, p.fft_window)
    whole = np.ascontiguousarray(large * np.hanning(p.frame_length).astype(np.float32))
    mel, notes = np.ascontiguousarray(frontend.mel_filterbank.T), NoteSpectrum(p.frame_length, p.sample_rate)

    def floor() -> None:
        for signal, product in ((tapered, lambda energies: energies @ mel), (whole, notes.bands)):
            spectrum = scipy.fft.rfft(signal)
            np.log10(product(spectrum.real**2 + spectrum.imag**2) + EPSILON)

    name = f"log-mel, chroma: {len(frames)}"
    return Stage(
        name, "FFTs, products, logarithms, fused", lambda: frontend(frames), floor, len(frames), len(large),
        summed=len(frames) == 1,
    )  # fmt: skip


def ear_stage(checkpoint: Any, frames: np.ndarray, large: np.ndarray) -> Stage:
    """Hear frames with the ear; the floor is its convolution alone of a large batch."""
    ear = checkpoint.ear
    memories = [checkpoint.memory() for _ in frames]
    energies = ear.frontend(large)
    context = np.zeros((len(large), ear.shape.context, *energies.shape[1:]), np.float32)
    spectrograms = np.concatenate([context, energies[:, None]], axis=1)
    return Stage(
        f"ear: {len(frames)}", f"its convolutions, {len(large)} at once", lambda: ear.hear(frames, memories),
        lambda: ear.convolved(spectrograms), len(frames), len(large), summed=len(frames) == 1,
    )  # fmt: skip


def network_stage(checkpoint: Any, row: np.ndarray, batch: int, large: int) -> Stage:
    """From the feature rows of a minute to valence and arousal; the floor is the network on a large batch."""
    rows = np.repeat(row[None], checkpoint.history, axis=1)
    few, many = np.repeat(rows, batch, axis=0), np.repeat(rows, large, axis=0)
    return Stage(
        f"network: {batch}", f"{large} at once", lambda: checkpoint.estimate_with_std(few),
        lambda: checkpoint.estimate_with_std(many), batch, large, summed=batch == 1,
    )  # fmt: skip


def estimate_of_now() -> Estimate:
    """Return an estimate like any other."""
    mood = Mood(0.1234, -0.2345)
    return Estimate("stage", 1234, time.time(), 617.0, 0.1234, -0.2345, 0.2, 0.2, mood, "tracking", -20.1, 0.0, "b")


def encode_stage() -> Stage:
    """One estimate as a message."""
    estimate = estimate_of_now()
    return Stage("encode", "json.dumps", lambda: encode(estimate), lambda: json.dumps(asdict(estimate)).encode())


def send_stage(publisher: Publisher) -> Stage:
    """From the publisher's queue through its thread to a subscriber's socket; an empty message between two sockets."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    subscriber = context.socket(zmq.SUB)
    subscriber.connect(publisher.endpoint)
    subscriber.subscribe(b"emotion/")
    sender, receiver = context.socket(zmq.PUB), context.socket(zmq.SUB)
    port = sender.bind_to_random_port("tcp://127.0.0.1")
    receiver.connect(f"tcp://127.0.0.1:{port}")
    receiver.subscribe(b"")
    while not subscriber.poll(50):  # until the subscription is known
        publisher.publish(estimate_of_now())
    while not receiver.poll(50):
        sender.send(b"")
    for socket in (subscriber, receiver):
        while socket.poll(50):
            socket.recv_multipart()

    def run() -> None:
        publisher.publish(estimate_of_now())
        subscriber.recv_multipart()

    def floor() -> None:
        sender.send(b"")
        receiver.recv()

    return Stage("send, receive", "an empty PUB/SUB message", run, floor)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="runs of each stage (default 100)")
    parser.add_argument("--batch", type=int, default=64, help="frames in a large batch (default 64)")
    parser.add_argument("--model", default="default", help="model (default: default)")
    parser.add_argument("--runtime", choices=RUNTIMES, help="what computes it (default: as moodring does)")
    options = parser.parse_args()
    checkpoint = load_model(options.model, options.runtime)
    checkpoint.use_one_thread()
    parameters = checkpoint.frontend.parameters
    piece = compose().astype(np.float32)
    stereo = np.ascontiguousarray(piece[: CARD_RATE // 2])
    mono = soxr.resample(piece.mean(axis=1), CARD_RATE, parameters.sample_rate).astype(np.float32)
    length = parameters.frame_length
    large = np.stack([mono[i * length // 2 :][:length] for i in range(options.batch)])
    one = large[:1].copy()
    row = checkpoint.features(one, [checkpoint.memory()])
    stages = [capture_stage(stereo), resample_stage(stereo, parameters)]
    stages += [logmel_stage(checkpoint.frontend, frames, large) for frames in (one, large)]
    if checkpoint.ear is not None:
        stages += [ear_stage(checkpoint, frames, large) for frames in (one, large)]
    stages += [network_stage(checkpoint, row, batch, options.batch) for batch in (1, options.batch)]
    stages.append(encode_stage())
    print(f"{'us per frame':24s} {'measured':>9s} {'floor':>9s} {'ratio':>6s}   floor is")
    total = 0.0
    with Publisher("tcp://127.0.0.1:*") as publisher:
        for stage in [*stages, send_stage(publisher)]:
            ours, floor = measure(stage, options.rounds)
            total += ours * stage.summed
            print(f"{stage.name:24s} {ours:9.1f} {floor:9.1f} {ours / floor:6.2f}   {stage.floor_name}")
    print(f"{'one stream, all stages':24s} {total:9.1f}   {total * 2 / 1e4:.2f} % of a core at 2 frames a second")


if __name__ == "__main__":
    main()
