"""The end of a network: a float tail that only scales and shifts goes into what the output's codes stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from dwell.hls.frontends.onnx_file import Floats
from dwell.hls.frontends.qonnx.exact import InexactError, lower
from dwell.hls.frontends.qonnx.signals import ULP, Apply, Signal, Walk, number, refuse
from dwell.hls.frontends.reading import Ending

#: Float functions at the very end that change no order of classes: dropped, so that logits come out.
DROPPED = ("Softmax", "LogSoftmax", "Sigmoid")


@dataclass(frozen=True, eq=False)
class _Line:
    """``gain * x + offset`` for each channel, x being at most `most` in magnitude, and its float32 error."""

    gain: Floats
    offset: Floats
    most: Floats
    error: Floats

    def times(self, factor: Floats) -> _Line:
        most = self.most * np.abs(factor)
        return _Line(
            self.gain * factor, self.offset * factor, most, self.error * np.abs(factor) + 2 * ULP * most
        )

    def plus(self, shift: Floats) -> _Line:
        most = self.most + np.abs(shift)
        return replace(self, offset=self.offset + shift, most=most, error=self.error + 2 * ULP * most)


def finish(walk: Walk) -> tuple[Signal, Ending, Floats]:
    """The output as integers, how they relate to the file, and the offset of what they stand for."""
    place = walk.dropped or walk.graph.output
    signal = walk.signals[place]
    if signal.expr is not None and signal.expr.node.op in DROPPED:
        walk.notes.append(dropped(signal.expr.node.op))
        place = next(name for name in signal.expr.node.inputs if name in walk.signals)
        signal = walk.signals[place]
    if signal.noise == 0.0 or signal.expr is None:
        try:
            exact = lower(walk, signal, key=place)
        except InexactError:
            pass
        else:
            ending = _ending(place, exact.scale, place, exact.noise)
            return exact, replace(ending, whole=place == walk.graph.output), np.zeros(1)
    made, ending, offset = _scaled(walk, signal, place)
    return made, replace(ending, whole=place == walk.graph.output), offset


def dropped(op: str) -> str:
    """The note about a function left out."""
    return f"output: the final {op} is left out: the design gives logits, whose order it does not change"


def _ending(place: str, scale: Floats, logits: str, noise: float, error: float = 0.0) -> Ending:
    return Ending(place, tuple(float(v) for v in scale), logits, noise, error)


def _scaled(walk: Walk, signal: Signal, logits: str) -> tuple[Signal, Ending, Floats]:
    expr = cast(Apply, signal.expr)
    step = np.abs(signal.scale) * 2.0 ** -walk.build.tensor(signal.at).type.frac
    start = step * walk.bound(signal)
    line = _line(walk, signal, expr, _Line(np.ones(1), np.zeros(1), start, 2 * ULP * start))
    place = _leaf(expr)
    base = replace(signal, expr=None)
    sign = np.sign(line.gain).astype(np.int64)
    scale = signal.scale
    if (sign != 1).any():
        frac = walk.build.tensor(signal.at).type.frac
        base = replace(base, at=walk.build.affine(walk.fresh("turned"), signal.at, sign, 0, [0], frac))
        scale = scale * sign
        place = place if sign.all() else ""
    if place not in walk.signals:
        place = ""
    gain = np.where(line.gain == 0, 1.0, np.abs(line.gain))
    walk.notes.append(
        f"output: the float operators after {base.at} are in the output's scale and offset, its codes are exact sums"
    )
    error = float(np.max(line.error + signal.noise * np.abs(line.gain) * step))
    ending = _ending(place, scale, logits, signal.noise, error)
    return replace(base, scale=np.abs(signal.scale) * gain), ending, line.offset


def _leaf(expr: Apply) -> str:
    """The file's tensor that the codes are exact for."""
    while True:
        inner = next((a for a in expr.arguments if isinstance(a, Apply)), None)
        if inner is None:
            return expr.node.inputs[expr.arguments.index(None)]
        expr = inner


def _line(walk: Walk, signal: Signal, expr: Apply, line: _Line) -> _Line:
    """What a float operator does, where it only scales and shifts."""
    node = expr.node
    inner = [a for a in expr.arguments if isinstance(a, Apply)]
    if len(inner) + expr.arguments.count(None) != 1:
        refuse(node, "it is float, and ends the network without a quantizer", "quantize the output")
    if inner:
        line = _line(walk, signal, inner[0], line)
    if node.op == "Neg":
        return line.times(-np.ones(1))
    if node.op == "BatchNormalization":
        scale, bias, mean, variance = (walk.constants[n].astype(np.float64) for n in node.inputs[1:])
        return line.plus(-mean).times(scale / np.sqrt(variance + number(node, "epsilon", 1e-5))).plus(bias)
    if node.op not in ("Add", "Sub", "Mul", "Div"):
        refuse(node, "it is float, and ends the network without a quantizer", "quantize the output")
    name = next(a for a in expr.arguments if isinstance(a, str))
    value = walk.per_channel(signal, walk.constants[name])
    if value is None or (node.op == "Div" and not value.all()):
        refuse(node, f"its constant {name!r}", "use one number for each channel")
    if node.op == "Add":
        return line.plus(value)
    if node.op == "Sub":
        return line.plus(-value) if expr.arguments[1] == name else line.times(-np.ones(1)).plus(value)
    return line.times(value if node.op == "Mul" else 1.0 / value)


def numbers(values: Floats, channels: int) -> float | tuple[float, ...]:
    """Per channel, or one number where all agree."""
    if (values == values[0]).all():
        return float(values[0])
    return tuple(float(v) for v in np.broadcast_to(values, (channels,)))
