"""Runs a graph in ONNX Runtime: in one thread, in bounded memory, and in no other process or file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import onnxruntime

from model.errors import CheckpointError, shown
from model.features import FloatArray

MOST_MEMORY = 1 << 29
"""Bytes that all graphs of a process may take for what is between their layers: of the bundled default, a batch of 64
streams takes a tenth."""

_FATAL = 4
_SAME_AS_REQUESTED = 1
_LONGEST_REASON = 160


class Session:
    """A graph that is ready to be computed.

    Parameters
    ----------
    model : bytes
        In ONNX.

    Raises
    ------
    CheckpointError
        If it is no graph that can be computed.
    """

    def __init__(self, model: bytes) -> None:
        self._options = _run_options()
        self._untried: bytes | None = model
        self._session = _session(model, optimised=False)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, FloatArray], longest: float = 0.0) -> list[FloatArray]:
        """Compute outputs.

        Parameters
        ----------
        outputs : sequence of str
            Their names.
        inputs : mapping of str to ndarray
            By name.
        longest : float
            Seconds after which to give up; 0 to wait for as long as it takes.

        Returns
        -------
        list of ndarray

        Raises
        ------
        CheckpointError
            If the graph cannot be computed, or not in that time.
        """
        if self._untried is not None:
            # optimisers take for granted what kernels make sure of: graphs that cannot be computed can crash them
            self._run(outputs, inputs, longest)
            self._session = _session(self._untried, optimised=True)
            self._untried = None
        return self._run(outputs, inputs, longest)

    def _run(self, outputs: Sequence[str], inputs: Mapping[str, FloatArray], longest: float) -> list[FloatArray]:
        how = _run_options() if longest else self._options
        bell = threading.Timer(longest, lambda: setattr(how, "terminate", True)) if longest else None
        if bell is not None:
            bell.daemon = True
            bell.start()
        try:
            given: list[FloatArray] = self._session.run(list(outputs), dict(inputs), how)
        except Exception as error:  # its exceptions have no class in common
            if how.terminate:
                raise CheckpointError(f"an estimate takes more than {longest:g} s") from error
            raise CheckpointError(f"its graph cannot be computed: {_reason(error)}") from error
        finally:
            if bell is not None:
                bell.cancel()
        return given


def _session(model: bytes, optimised: bool) -> onnxruntime.InferenceSession:
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    # a plan for each shape would be kept for ever, and batches come in all sizes
    options.enable_mem_pattern = False
    options.log_severity_level = _FATAL  # it raises as well
    # of constants, an exporter has left nothing to be computed; a file that has is not computed unasked
    unwanted = ["ConstantFolding"]
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        # its fallback prints on standard output, and tries again with all optimisers
        return onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=unwanted,
            enable_fallback=0,
        )
    except Exception as error:  # its exceptions have no class in common
        raise CheckpointError(f"its graph cannot be used: {_reason(error)}") from error


def _run_options() -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL
    return options


@lru_cache(maxsize=1)
def _limit_memory() -> None:
    onnxruntime.set_default_logger_severity(_FATAL)
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limits = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": _SAME_AS_REQUESTED})
    onnxruntime.create_and_register_allocator(memory, limits)


def _reason(error: Exception) -> str:
    return shown(" ".join(str(error).split()), _LONGEST_REASON)


def check_shape(name: str, given: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return what a graph gave if it is what it should be.

    Parameters
    ----------
    name : str
        Of the output.
    given : ndarray
        The output.
    shape : tuple of int
        What it must have.

    Returns
    -------
    ndarray of float32

    Raises
    ------
    CheckpointError
        If it is of another shape or type.
    """
    if given.shape != shape or given.dtype != np.float32:
        raise CheckpointError(f'its graph gives "{name}" of shape {given.shape}, not {shape}')
    return given
