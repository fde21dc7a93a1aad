"""Rung 2: the source framework against the integer graph, code by code at every quantizer.

Agreement of two converters that share a graph proves nothing; this compares with what the network's own
framework computes, before any back end is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.hls.frontends.network import Arrays, QuantizedNetwork, load_reference
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import Codes, Input, QModel, Recurrent, Tensor, intervals_of, quantize_input
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.recurrence import INSIDE, first_state, step_codes

_HINT = (
    "the integer graph is not the network: see the notes of the converter, and report the layer named here"
)
#: Output windows that the source framework computes again here, at the least.
RECOMPUTED_WINDOWS = 4000
_MAX_FRAMES = 256
#: Distance between neighbouring float32 numbers, relative.
_ULP = 2.0**-23

RULE = (
    "equal codes at every quantizer, each given the codes of those before it; equal codes of the output. Where a "
    "scale is not a power of two the source's own float32 sums are rounded: there a code may be that of a sum "
    "within this rounding of the exact one (counted as 'within_rounding'), and logits may differ by it"
)


@dataclass(frozen=True)
class Comparison:
    """What was compared with what: codes per quantizer, and decisions (output windows).

    `within_rounding` counts codes that float32 rounding in the source decides, `logit_error` is the largest
    difference of logits and `logit_bound` what it may be.
    """

    source: str
    frames: int
    windows: int
    codes: Mapping[str, int]
    within_rounding: int = 0
    logit_error: float = 0.0
    logit_bound: float = 0.0

    @property
    def compared(self) -> int:
        return sum(self.codes.values())

    def to_json(self) -> dict[str, Any]:
        """As it stands in the rung's `detail`."""
        return {
            "frames": self.frames,
            "windows": self.windows,
            "codes": dict(self.codes),
            "within_rounding": self.within_rounding,
            "logit_error": self.logit_error,
            "logit_bound": self.logit_bound,
        }


def climb(model: QModel | Reading, network: QuantizedNetwork) -> dict[str, Any]:
    """Check `model` against its network's reference file, where it has one, and against its executor.

    Returns the rung's JSON. Raises `VerificationError` with the first mismatch.
    """
    reading = model if isinstance(model, Reading) else Reading(model)
    done = []
    if network.reference is not None:
        done.append(compare_reference(reading, network, load_reference(network.reference)))
    done.append(compare_executor(reading, network))
    return {
        "rung": 2,
        "name": "source framework = integer graph, at every quantizer",
        "ok": True,
        "compared": sum(one.compared for one in done),
        "mismatches": 0,
        "tool": " and ".join(one.source for one in done),
        "rule": RULE,
        "detail": {one.source: one.to_json() for one in done},
    }


def compare_reference(model: QModel | Reading, network: QuantizedNetwork, arrays: Arrays) -> Comparison:
    """`x`, `codes/<quantizer>` and `y` as the quantize stage wrote them, against `model`.

    Every quantizer of the graph has to be there, and no other. Raises `VerificationError` on the first
    difference, `ConfigError` for arrays that are missing or of the wrong kind.
    """
    reading = model if isinstance(model, Reading) else Reading(model)
    graph = reading.model
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        raise ConfigError(
            f"the reference has no {missing[0]!r}", hint="build again from the quantize stage on"
        )
    given = {key.removeprefix("codes/") for key in arrays if key.startswith("codes/")}
    wanted = graph.watched
    if given != set(wanted):
        extra, lacking = sorted(given - set(wanted)), sorted(set(wanted) - given)
        raise VerificationError(
            f"the quantizers differ: only in the network {extra}, only in the integer graph {lacking}",
            hint=_HINT,
        )
    x = np.asarray(arrays["x"])
    parts = []
    step = _frames_at_once(x.shape)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        expected = {}
        for name, tensor in wanted.items():
            frac = tensor.type.frac
            expected[name] = _aligned(name, arrays[f"codes/{name}"][part], network.frac(name, frac), frac)
        check = _Check(reading, quantize_input(graph, x[part]), expected, start)
        check.follow()
        if reading.ending is None or reading.ending.whole:
            check.logits(arrays["y"][part])
        parts.append(check)
    return _gathered("codes kept in training's framework", len(x), parts)


def compare_executor(model: QModel | Reading, network: QuantizedNetwork) -> Comparison:
    """Frames made up here, through the source framework's own kernels and through `model`."""
    reading = model if isinstance(model, Reading) else Reading(model)
    return compare_frames(reading, network, probe_frames(reading.model))


def compare_frames(reading: Reading, network: QuantizedNetwork, frames: npt.ArrayLike) -> Comparison:
    """Frames (N, …), floats, through the source framework's own kernels and through the integer graph."""
    model, ending = reading.model, reading.ending
    fed = np.asarray(frames, dtype=np.float32)
    quantized = quantize_input(model, fed)
    if model.input not in dict(model.quantizers).values() or model.tensors[model.input].scale != 1.0:
        # The network does not quantize its input, or not by a power of two: both sides begin with codes.
        fed = model.to_real(model.input, quantized).astype(np.float32)
    places = {name: network.place(name) for name in model.watched}
    more = [] if ending is None else [place for place in (ending.place, ending.logits) if place]
    asked = list(dict.fromkeys([*places.values(), *more]))
    found = network.door.execute(network.path, fed, asked, reading.orders)
    expected = {name: codes_of(tensor, found[places[name]]) for name, tensor in model.watched.items()}
    check = _Check(reading, quantized, expected)
    check.follow()
    if ending is not None and ending.place:
        check.sums(found[ending.place])
    check.logits(found["" if ending is None else ending.logits])
    tool = {"qonnx": "QONNX executor", "keras": "Keras predict", "keras_h5": "Keras predict"}.get(
        network.door.name, network.door.name
    )
    return _gathered(tool, len(fed), [check])


def _gathered(source: str, frames: int, parts: list[_Check]) -> Comparison:
    codes: dict[str, int] = {}
    for part in parts:
        for name, count in part.counts.items():
            codes[name] = codes.get(name, 0) + count
    return Comparison(
        source,
        frames,
        sum(part.windows for part in parts),
        codes,
        sum(part.within_rounding for part in parts),
        max((part.logit_error for part in parts), default=0.0),
        max((part.logit_bound for part in parts), default=0.0),
    )


@dataclass
class _Check:
    """Some frames on their way through the graph, held against what the source computes at each quantizer."""

    reading: Reading
    codes: Codes
    expected: Mapping[str, npt.NDArray[np.float64]]
    first_frame: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    within_rounding: int = 0
    windows: int = 0
    logit_error: float = 0.0
    logit_bound: float = 0.0
    output: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def follow(self) -> None:
        """Node by node. Behind a quantizer the source's codes are used, so that each is judged by itself."""
        model = self.reading.model
        self.output = self._graph(model, self.codes)[model.output]
        self.windows = int(np.prod(self.output.shape[:-1]))
        self.counts["output"] = self.output.size

    def _graph(
        self, model: QModel, codes: Codes, prefix: str = "", step: int | None = None
    ) -> dict[str, Codes]:
        """All tensors of the graph, or of a body at a step, whose tensors' names begin with `prefix` outside."""
        names: dict[str, list[str]] = {}
        for name, tensor in model.quantizers:
            names.setdefault(tensor, []).append(name)
        live: dict[str, Codes] = {}
        for node in model.nodes:
            if isinstance(node, Input):
                live[node.output] = codes
            elif isinstance(node, Recurrent):
                live[node.output] = self._steps(node, model.tensors[node.inputs[0]], live[node.inputs[0]])
            else:
                sources = [model.tensors[name] for name in node.inputs]
                interval = intervals_of(model)[node.inputs[0]]
                given = [live[name] for name in node.inputs]
                live[node.output] = evaluate(node, sources, model.tensors[node.output], interval, given)
            for name in names.get(node.output, []):
                expected = self.expected[name]
                if step is not None:  # a step of the source's, in the shape that the body gives it
                    expected = expected[:, step].reshape(live[node.output].shape)
                live[node.output] = self._quantizer(name, expected, node.output, live, prefix)
        return live

    def _steps(self, node: Recurrent, source: Tensor, codes: Codes) -> Codes:
        """A recurrence, each of its steps followed node by node."""
        state, results = first_state(node, len(codes)), []
        for step in range(codes.shape[1]):
            taken = step_codes(node, source.type.frac, codes[:, step], state)
            done = self._graph(node.body, taken, f"{node.name}{INSIDE}", step)[node.body.output]
            results.append(done[:, : node.results])
            state = done[:, node.results :]
        return np.stack(results, axis=1) if node.sequence else results[-1]

    def _quantizer(
        self,
        name: str,
        expected: npt.NDArray[np.float64],
        tensor: str,
        live: Mapping[str, Codes],
        prefix: str,
    ) -> Codes:
        got = live[tensor]
        self.counts[name] = self.counts.get(name, 0) + got.size
        slack = self.reading.slack.get(f"{prefix}{tensor}")
        if slack is None or got.shape != expected.shape:
            compare_codes(name, expected, got, self.first_frame)
            return got
        different = expected != got
        if not different.any():
            return got
        where = np.nonzero(different)
        sums = live[slack.source][where]
        excused = slack.excuses(sums, where[-1].astype(np.int64), got[where], expected[where])
        if not excused.all():
            compare_codes(name, np.where(different, expected, got), got, self.first_frame)
        self.within_rounding += int(excused.sum())
        forced = got.copy()
        forced[where] = expected[where].astype(np.int64)
        return forced

    def sums(self, values: npt.NDArray[np.generic]) -> None:
        """The output's codes against the source's tensor that they are exact for."""
        ending = self.reading.ending
        if ending is None:
            return
        scale = np.asarray(ending.scale)
        frac = self.reading.model.tensors[self.reading.model.output].type.frac
        expected = _codes_of(values, scale, frac)
        if ending.noise == 0.0:
            compare_codes("output", expected, self.output, self.first_frame)
            return
        near = np.abs(expected - self.output) <= ending.noise + 4 * _ULP * np.abs(expected)
        compare_codes("output", np.where(near, self.output, expected), self.output, self.first_frame)

    def logits(self, values: npt.NDArray[np.generic]) -> None:
        """What the output's codes stand for against the source's output."""
        model, ending = self.reading.model, self.reading.ending
        if ending is None or (ending.noise == 0.0 and ending.error == 0.0):
            compare_codes("output", to_codes(model, model.output, values), self.output, self.first_frame)
            return
        kind = model.tensors[model.output]
        real = model.to_real(model.output, self.output)
        wanted = np.asarray(values, dtype=np.float64)
        unit = np.ldexp(np.max(np.asarray(kind.scale)), -kind.type.frac)
        bound = ending.error or float(ending.noise * unit)
        bound += 4 * _ULP * float(np.abs(wanted).max(initial=0.0))
        self.logit_bound = bound
        if real.shape == wanted.shape:
            self.logit_error = float(np.abs(real - wanted).max(initial=0.0))
        if real.shape != wanted.shape or self.logit_error > bound:
            shown = to_codes(model, model.output, wanted)
            if shown.shape == self.output.shape:
                shown = np.where(np.abs(real - wanted) <= bound, self.output, shown)
            compare_codes("output", shown, self.output, self.first_frame)


def probe_frames(model: QModel, windows: int = RECOMPUTED_WINDOWS) -> npt.NDArray[np.float32]:
    """Frames (N, …) of the nominal size: extremes, noise, smooth shapes, values off the grid."""
    entry, result = model.tensors[model.input], model.tensors[model.output]
    each = int(np.prod(result.shape[:-1])) or 1
    count = min(max(6, -(-windows // each)), _MAX_FRAMES)
    rng = np.random.default_rng(0)
    kind = entry.type
    span = kind.hi - kind.lo
    unit = rng.random((count, *entry.shape))
    smooth = unit.copy()
    for axis in range(1, max(unit.ndim - 1, 2)):
        smooth = smooth + np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis)
    smooth = (smooth - smooth.min()) / max(smooth.max() - smooth.min(), 1e-9)
    unit[1::2] = smooth[1::2]
    codes = kind.lo + np.floor(unit * (span + 1)).clip(0, span)
    if kind.width > 8:  # wide types are used near zero: values of every magnitude
        small = np.ldexp(
            rng.random((count, *entry.shape)) * 2 - int(kind.signed), rng.integers(3, kind.width)
        )
        codes[5::3] = np.floor(small[5::3]).clip(kind.lo, kind.hi)
    codes[0], codes[1] = kind.lo, kind.hi
    codes[2] = np.where(rng.random(entry.shape) < 0.5, kind.lo, kind.hi)
    codes[3] += rng.random(entry.shape)  # between codes: the first rounding
    codes[4] = kind.lo + (rng.random(entry.shape) * 1.5 - 0.25) * span  # beyond the type: its overflow
    real = np.ldexp(codes, -kind.frac) * np.asarray(entry.scale) + np.asarray(entry.offset)
    return np.asarray(real, dtype=np.float32)


def to_codes(model: QModel, tensor: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Real values as codes of a tensor, not rounded: a value between codes has to show as a mismatch.

    Where the tensor has a scale apart from its type, float32 holds no code exactly: what is within its rounding of
    a code is that code.
    """
    return codes_of(model.tensors[tensor], values)


def codes_of(tensor: Tensor, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """`to_codes` for a tensor that is not of the graph itself."""
    real = np.asarray(values, dtype=np.float64) - np.asarray(tensor.offset)
    return _codes_of(real, tensor.scale, tensor.type.frac)


def _codes_of(values: npt.NDArray[np.generic], scale: object, frac: int) -> npt.NDArray[np.float64]:
    unit = np.asarray(scale, dtype=np.float64)
    codes = np.asarray(np.ldexp(np.asarray(values, dtype=np.float64) / unit, frac), dtype=np.float64)
    if (unit == 1.0).all():
        return codes
    whole = np.rint(codes)
    return np.where(np.abs(codes - whole) <= np.minimum(8 * _ULP * np.abs(whole) + 1e-6, 0.25), whole, codes)


def _frames_at_once(shape: tuple[int, ...]) -> int:
    return max(1, (1 << 18) // max(1, int(np.prod(shape[1:]))))


def _aligned(name: str, codes: npt.NDArray[np.generic], have: int, want: int) -> npt.NDArray[np.float64]:
    if codes.dtype.kind not in "iu":
        raise ConfigError(f"the reference codes of {name!r} are {codes.dtype}, not integers")
    return np.asarray(np.ldexp(codes.astype(np.float64), want - have), dtype=np.float64)


def compare_codes(name: str, expected: npt.NDArray[np.float64], got: Codes, first_frame: int = 0) -> None:
    """Raises at the first code that is not equal. `expected` may hold what is no integer."""
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
