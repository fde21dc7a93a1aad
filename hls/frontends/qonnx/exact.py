"""Float operators that are exact on integers, as nodes of the integer graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwell.hls.frontends.dyadic import exact_codes, least_frac
from dwell.hls.frontends.onnx_file import Array, Floats, OnnxNode
from dwell.hls.frontends.qonnx.signals import FLOAT32_BITS, Apply, Signal, Walk, number
from dwell.hls.qmodel import Codes

#: Most fraction bits of a constant that is worth multiplying by.
_FACTOR_BITS = 12


class InexactError(Exception):
    """An operator that has no exact form on integers; `node` is where."""

    def __init__(self, node: OnnxNode, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


def lower(walk: Walk, signal: Signal, *, key: str = "", cheaply: bool = False) -> Signal:
    """The signal with its float operators made integer nodes.

    Raises `InexactError` at the first that float32 does not compute exactly, or with `cheaply` at the first that
    needs more than a comparison. `key` names the file's tensor, whose integers are kept for its next reader.
    """
    known = walk.remembered(key) if key else None
    if known is not None:
        return known
    if signal.expr is None:
        return signal
    _check(walk, signal, signal.expr, cheaply)
    made = _lowered(walk, replace(signal, expr=None), signal.expr)
    return walk.remember(key, made) if key else made


def _check(walk: Walk, signal: Signal, expr: Apply, cheaply: bool) -> None:
    """Refuse before anything is built."""
    node = expr.node
    inner = [a for a in expr.arguments if isinstance(a, Apply)]
    if len(inner) + expr.arguments.count(None) != 1:
        raise InexactError(node, "it reads what is computed twice")
    if inner:
        _check(walk, signal, inner[0], cheaply)
    if node.op in ("Relu", "Clip"):
        if not signal.plain and node.op == "Clip":
            raise InexactError(node, "its bounds are not codes")
        if node.op == "Clip" and _bounds(walk, signal, expr) is None:
            raise InexactError(node, "its bounds are not codes")
        return
    if not signal.plain:
        raise InexactError(node, "its input has a scale that is not a power of two")
    if cheaply or (_affine(walk, signal, expr) is None and _slope(walk, signal, expr) is None):
        raise InexactError(node, "its constants are not short binary fractions")


def _lowered(walk: Walk, signal: Signal, expr: Apply) -> Signal:
    inner = next((a for a in expr.arguments if isinstance(a, Apply)), None)
    if inner is not None:
        signal = _lowered(walk, signal, inner)
    build, op = walk.build, expr.node.op
    if op == "Relu":
        return replace(signal, at=build.relu(walk.fresh("relu"), signal.at))
    if op == "Clip":
        bounds = _bounds(walk, signal, expr)
        if bounds is None:
            raise InexactError(expr.node, "its bounds are not codes")
        return replace(signal, at=build.clip(walk.fresh("clip"), signal.at, *bounds))
    factors = _affine(walk, signal, expr)
    if factors is not None:
        made = build.affine(walk.fresh("affine"), signal.at, *factors)
    else:
        slope = _slope(walk, signal, expr)
        if slope is None:
            raise InexactError(expr.node, "its constants are not short binary fractions")
        made = build.leaky_relu(walk.fresh("leaky"), signal.at, *slope)
    if build.tensor(made).type.width > FLOAT32_BITS + 1:
        raise InexactError(expr.node, f"its results need {build.tensor(made).type.width} bits")
    return replace(signal, at=made)


def clip_bounds(walk: Walk, expr: Apply) -> tuple[float, float]:
    """Lower and upper bound of a Clip, infinite where there is none."""
    node = expr.node
    low, high = number(node, "min", -np.inf), number(node, "max", np.inf)
    found = []
    for index, default in ((1, low), (2, high)):
        name = expr.arguments[index] if index < len(expr.arguments) else ""
        value = walk.constants[name].reshape(-1) if isinstance(name, str) and name else np.array([default])
        found.append(float(value[0]) if value.size == 1 else float("nan"))
    return found[0], found[1]


def _bounds(walk: Walk, signal: Signal, expr: Apply) -> tuple[int, int] | None:
    kind = walk.build.tensor(signal.at).type
    limits = [kind.lo, kind.hi]
    for at, value in enumerate(clip_bounds(walk, expr)):
        if np.isnan(value):
            return None
        if np.isinf(value) or abs(value) >= 2.0**31:
            continue
        code = exact_codes([value], kind.frac)
        if code is None:
            return None
        limits[at] = int(code[0])
    return (limits[0], limits[1]) if limits[0] <= limits[1] else None


def _constant(walk: Walk, signal: Signal, expr: Apply) -> Floats | None:
    """The one constant of a two-sided operator, for each channel or for all."""
    names = [a for a in expr.arguments if isinstance(a, str)]
    return walk.per_channel(signal, walk.constants[names[0]]) if len(names) == 1 else None


def _short(values: Array | Floats) -> tuple[Codes, int] | None:
    """Codes and fraction of constants that are short binary fractions."""
    frac = least_frac(values, _FACTOR_BITS)
    codes = exact_codes(values, frac) if frac is not None else None
    if frac is None or codes is None or int(np.abs(codes).max()).bit_length() > FLOAT32_BITS:
        return None
    return codes, frac


def _affine(walk: Walk, signal: Signal, expr: Apply) -> tuple[Codes, int, Codes, int] | None:
    """Weight, fraction, bias, fraction of an operator that multiplies and adds short binary fractions."""
    op, one, none = expr.node.op, np.ones(1), np.zeros(1)
    first = not isinstance(expr.arguments[0], str)  # whether the moving part comes first
    if op == "Neg":
        weight, bias = -one, none
    elif op == "HardSigmoid":
        return None
    elif op in ("Add", "Sub", "Mul", "Div"):
        value = _constant(walk, signal, expr)
        if value is None or (op == "Div" and (not first or not value.all())):
            return None
        if op == "Add":
            weight, bias = one, value
        elif op == "Sub":
            weight, bias = (one, -value) if first else (-one, value)
        else:
            weight, bias = (value if op == "Mul" else 1.0 / value), none
            if op == "Div" and (value * weight != 1.0).any():
                return None
    else:
        return None
    a, b = _short(weight), _short(bias)
    return None if a is None or b is None else (*a, *b)


def _slope(walk: Walk, signal: Signal, expr: Apply) -> tuple[Codes, int] | None:
    node = expr.node
    if node.op == "LeakyRelu":
        return _short(np.array([number(node, "alpha", 0.01)]))
    if node.op == "PRelu" and not isinstance(expr.arguments[0], str):
        value = _constant(walk, signal, expr)
        return None if value is None else _short(value)
    return None
