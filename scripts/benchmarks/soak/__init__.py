"""The parts of `scripts/benchmarks/soak.py`: hours of audio, faults, and what subscribers saw of them."""
