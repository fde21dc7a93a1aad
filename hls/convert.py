"""From a network to the integer graph that a back end gets: read, proven, its output chosen, simplified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dwell.errors import InternalError
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.frontends.outputs import with_output
from dwell.hls.gate import climb, probe_frames
from dwell.hls.qmodel import QModel, quantize_input, run_codes
from dwell.hls.qmodel.simplify import simplify

#: Frames on which the simplified graph is held against the one that was read.
_COMPARED_VALUES = 1 << 24


@dataclass(frozen=True, eq=False)
class Converted:
    """`source` is the graph as it was read, `model` what a back end gets; `simplified` says what was done to it."""

    source: QModel
    model: QModel
    rung: dict[str, Any]
    simplified: tuple[str, ...]


def read_network(
    network: QuantizedNetwork,
    name: str,
    *,
    output: str = "logits",
    check: Callable[[QModel], object] | None = None,
) -> Converted:
    """The integer graph of `network`, after rung 2.

    `check` sees the graph that a back end would get before anything is compared, and may refuse it. Raises what it
    raises, and what reading and comparing do: `ConfigError`, `UnsupportedLayerError`, `VerificationError`.
    """
    reading = network.reading(name)
    chosen = with_output(reading.model, output)
    model, reports = simplify(chosen)
    if check is not None:
        check(model)
    rung = climb(reading, network)
    _check_equal(chosen, model)
    return Converted(reading.model, model, rung, tuple(f"simplified: {report}" for report in reports))


def _check_equal(before: QModel, after: QModel) -> None:
    """Simplifying proves itself pass by pass; this would show a fault in one."""
    frames = probe_frames(before)
    largest = max(int(np.prod(tensor.shape)) for tensor in before.tensors.values())
    codes = quantize_input(before, frames[: max(6, _COMPARED_VALUES // largest)])
    if not np.array_equal(run_codes(before, codes), run_codes(after, codes)):
        raise InternalError(f"{before.name}: simplifying the integer graph changed what it computes")
