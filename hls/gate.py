"""Rung 2: the source framework against the integer graph, code by code at every quantizer.

Agreement of two converters that share a graph proves nothing; this compares with what the network's own
framework computes, before any back end is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.hls.frontends.network import Arrays, QuantizedNetwork, load_reference
from dwell.hls.qmodel import Codes, QModel

_HINT = (
    "the integer graph is not the network: see the notes of the converter, and report the layer named here"
)
#: Output windows that the source framework computes again here, at the least.
RECOMPUTED_WINDOWS = 4000
_MAX_FRAMES = 256


@dataclass(frozen=True)
class Comparison:
    """What was compared with what: codes per quantizer, and decisions (output windows)."""

    source: str
    frames: int
    windows: int
    codes: Mapping[str, int]

    @property
    def compared(self) -> int:
        return sum(self.codes.values())


def climb(model: QModel, network: QuantizedNetwork) -> dict[str, Any]:
    """Check `model` against its network's reference file, where it has one, and against its executor.

    Returns the rung's JSON. Raises `VerificationError` with the first mismatch.
    """
    done = []
    if network.reference is not None:
        done.append(compare_reference(model, network, load_reference(network.reference)))
    done.append(compare_executor(model, network))
    return {
        "rung": 2,
        "name": "source framework = integer graph, at every quantizer",
        "ok": True,
        "compared": sum(one.compared for one in done),
        "mismatches": 0,
        "tool": " and ".join(one.source for one in done),
        "detail": {
            one.source: {"frames": one.frames, "windows": one.windows, "codes": dict(one.codes)}
            for one in done
        },
    }


def compare_reference(model: QModel, network: QuantizedNetwork, arrays: Arrays) -> Comparison:
    """`x`, `codes/<quantizer>` and `y` as the quantize stage wrote them, against `model`.

    Every quantizer of the graph has to be there, and no other. Raises `VerificationError` on the first
    difference, `ConfigError` for arrays that are missing or of the wrong kind.
    """
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        raise ConfigError(
            f"the reference has no {missing[0]!r}", hint="build again from the quantize stage on"
        )
    given = {key.removeprefix("codes/") for key in arrays if key.startswith("codes/")}
    wanted = dict(model.quantizers)
    if given != set(wanted):
        extra, lacking = sorted(given - set(wanted)), sorted(set(wanted) - given)
        raise VerificationError(
            f"the quantizers differ: only in the network {extra}, only in the integer graph {lacking}",
            hint=_HINT,
        )
    x = np.asarray(arrays["x"])
    codes: dict[str, int] = dict.fromkeys([*wanted, "output"], 0)
    windows = 0
    step = _frames_at_once(x.shape)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        traced = model.trace(x[part])
        for name, tensor in wanted.items():
            frac = model.tensors[tensor].type.frac
            expected = _aligned(name, arrays[f"codes/{name}"][part], network.frac(name, frac), frac)
            codes[name] += _compare(name, expected, traced[tensor], start)
        expected = to_codes(model, model.output, arrays["y"][part])
        codes["output"] += _compare("output", expected, traced[model.output], start)
        windows += _windows(traced[model.output])
    return Comparison("codes kept in training's framework", len(x), windows, codes)


def compare_executor(model: QModel, network: QuantizedNetwork) -> Comparison:
    """Frames made up here, through the source framework's own kernels and through `model`."""
    frames = probe_frames(model)
    quantized = model.quantize(frames)
    fed = frames
    if model.input not in dict(model.quantizers).values():
        # The network does not quantize its input: both sides begin with what the design would see.
        fed = model.to_real(model.input, quantized).astype(np.float32)
    places = {name: network.place(name) for name, _ in model.quantizers}
    found = network.door.execute(network.path, fed, list(places.values()))
    traced = model.trace_codes(quantized)
    codes = {
        name: _compare(name, to_codes(model, tensor, found[places[name]]), traced[tensor])
        for name, tensor in model.quantizers
    }
    codes["output"] = _compare("output", to_codes(model, model.output, found[""]), traced[model.output])
    tool = {"qonnx": "QONNX executor", "keras": "Keras predict"}.get(network.door.name, network.door.name)
    return Comparison(tool, len(frames), _windows(traced[model.output]), codes)


def probe_frames(model: QModel, windows: int = RECOMPUTED_WINDOWS) -> npt.NDArray[np.float32]:
    """Frames (N, H, W, C) of the nominal size: extremes, noise, smooth shapes, values off the grid."""
    entry, result = model.tensors[model.input], model.tensors[model.output]
    each = int(np.prod(result.shape[:-1])) or 1
    count = min(max(6, -(-windows // each)), _MAX_FRAMES)
    rng = np.random.default_rng(0)
    kind = entry.type
    span = kind.hi - kind.lo
    unit = rng.random((count, *entry.shape))
    smooth = unit.copy()
    for axis in range(1, max(2, unit.ndim - 1)):
        smooth = smooth + np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    unit[1::2] = smooth[1::2]
    codes = kind.lo + np.floor(unit * (span + 1)).clip(0, span)
    codes[0], codes[1] = kind.lo, kind.hi
    codes[2] = np.where(rng.random(entry.shape) < 0.5, kind.lo, kind.hi)
    codes[3] += rng.random(entry.shape)  # between codes: the first rounding
    codes[4] = kind.lo + (rng.random(entry.shape) * 1.5 - 0.25) * span  # beyond the type: its overflow
    return np.asarray(np.ldexp(codes, -kind.frac), dtype=np.float32)


def to_codes(model: QModel, tensor: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Real values as codes of a tensor, not rounded: a value between codes has to show as a mismatch."""
    kind = model.tensors[tensor]
    real = np.asarray(values, dtype=np.float64)
    return np.asarray(np.ldexp(real / kind.scale, kind.type.frac), dtype=np.float64)


def _frames_at_once(shape: tuple[int, ...]) -> int:
    return max(1, (1 << 18) // max(1, int(np.prod(shape[1:]))))


def _windows(output: Codes) -> int:
    return int(np.prod(output.shape[:-1]))


def _aligned(name: str, codes: npt.NDArray[np.generic], have: int, want: int) -> npt.NDArray[np.float64]:
    if codes.dtype.kind not in "iu":
        raise ConfigError(f"the reference codes of {name!r} are {codes.dtype}, not integers")
    return np.asarray(np.ldexp(codes.astype(np.float64), want - have), dtype=np.float64)


def _compare(name: str, expected: npt.NDArray[np.float64], got: Codes, first_frame: int = 0) -> int:
    """How many codes were equal; raises at the first that is not. `expected` may hold what is no integer."""
    if expected.shape != got.shape:
        raise VerificationError(
            f"{name}: the network gives {expected.shape}, the integer graph {got.shape}",
            first_mismatch={"quantizer": name, "expected_shape": expected.shape, "got_shape": got.shape},
            hint=_HINT,
            place=name,
        )
    different = expected != got
    if different.any():
        where = tuple(int(i) for i in np.argwhere(different)[0])
        raise VerificationError(
            f"{name}: {int(different.sum())} of {got.size} codes differ",
            first_mismatch={
                "quantizer": name,
                "index": [where[0] + first_frame, *where[1:]],
                "expected": float(expected[where]),
                "got": int(got[where]),
            },
            hint=_HINT,
            place=name,
        )
    return int(got.size)
