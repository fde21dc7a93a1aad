"""What a quantizer of HGQ2 or QKeras does to a tensor: fixed-point types, or a function to be tabulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from dwell.errors import UnsupportedLayerError
from dwell.hls.frontends.keras_net.values import Floats, Real, one
from dwell.hls.qmodel import MAX_WIDTH, FixedPoint, Overflow, Rounding

QUANTIZERS = (
    "quantized_bits",
    "quantized_relu",
    "quantized_tanh",
    "quantized_sigmoid",
    "quantized_hswish",
    "binary",
    "ternary",
    "stochastic_binary",
    "stochastic_ternary",
    "HGQ2's fixed-point quantizers",
)
#: Widest type of a quantizer.
MAX_BITS = 32
_POWERS = ("quantized_po2", "quantized_relu_po2")
_SIGNS = ("binary", "ternary", "stochastic_binary", "stochastic_ternary")


@dataclass(frozen=True)
class Fixed:
    """A cast: one type, one per channel, or (`per_element`) one for every element in C order.

    `rectified`: negative values become zero first. `affine` is applied after the cast, as HGQ2's hard
    sigmoid does.
    """

    types: tuple[FixedPoint, ...]
    rounding: Rounding
    overflow: Overflow
    rectified: bool = False
    per_element: bool = False
    affine: tuple[float, float] | None = None


@dataclass(frozen=True)
class Function:
    """A quantizer that is no cast: `function` maps floats (N, C) to multiples of `scale` (1,) times 2**-k.

    `frac` is that k where the quantizer says so, else it is found by looking. `noisy`: QKeras computes
    x + (q - x), which leaves its results beside the grid by a float's rounding.
    """

    function: Callable[[Floats], Floats]
    scale: Real = field(default_factory=one)
    frac: int | None = None
    noisy: bool = False


Quantizer: TypeAlias = Fixed | Function


def refuse_quantizer(place: str, kind: str, reason: str, hint: str = "") -> UnsupportedLayerError:
    """The error for a quantizer at `place`."""
    return UnsupportedLayerError(place, kind, QUANTIZERS, reason=reason, hint=hint or "use quantized_bits")


# ---- HGQ2


def is_hgq(quantizer: Any) -> bool:
    return type(quantizer).__module__.startswith("hgq.")


def of_hgq(quantizer: Any, shape: tuple[int, ...], place: str) -> Quantizer | None:
    """An `hgq.quantizer.Quantizer` on a tensor of `shape` (no batch axis); None where it does nothing."""
    inner = quantizer.quantizer
    if getattr(inner, "__dummy__", False):
        return None
    if not hasattr(inner, "kif") or not type(inner).__name__.startswith("FixedPoint"):
        raise refuse_quantizer(place, type(inner).__name__, "it is no fixed-point quantizer")
    if quantizer.scaler is not None:
        raise refuse_quantizer(place, type(inner).__name__, "its input is scaled", "leave the scaler out")
    masks = [np.broadcast_to(np.asarray(m), (1, *shape))[0] for m in inner.kif]
    flat = [np.asarray(m, dtype=np.int64).reshape(-1, shape[-1]) for m in masks]
    per_channel = all((m == m[0]).all() for m in flat)
    chosen = [m[0] if per_channel else m.reshape(-1) for m in flat]
    types = []
    for keep, integer, frac in zip(*chosen, strict=True):
        width = max(int(keep) + int(integer) + int(frac), 0)
        _check_width(place, "fixed point", width, int(frac) if width else 0)
        types.append(FixedPoint(bool(keep) and width > 0, width, int(frac) if width else 0))
    rounding = _named(Rounding, inner.round_mode.removeprefix("S_"), place)
    overflow = _named(Overflow, inner.overflow_mode, place)
    affine = None if quantizer.affine is None else (float(quantizer.affine[0]), float(quantizer.affine[1]))
    if len(set(types)) == 1:
        return Fixed((types[0],), rounding, overflow, affine=affine)
    return Fixed(tuple(types), rounding, overflow, per_element=not per_channel, affine=affine)


def _check_width(place: str, kind: str, width: int, frac: int) -> None:
    if width > MAX_BITS or abs(frac) > MAX_WIDTH:
        hint = f"use at most {MAX_BITS} bits"
        raise refuse_quantizer(place, kind, f"{width} bits, {frac} of them fraction", hint)


def _named(kinds: Any, text: str, place: str) -> Any:
    try:
        return kinds(text.upper())
    except ValueError as error:
        raise refuse_quantizer(
            place, "fixed point", f"mode {text!r}", f"use one of {', '.join(kinds)}"
        ) from error


# ---- QKeras


def is_qkeras(quantizer: Any) -> bool:
    return type(quantizer).__module__.startswith("qkeras.")


def of_qkeras(quantizer: Any, place: str) -> Quantizer:
    """A QKeras quantizer as an activation. Raises `UnsupportedLayerError` for one whose result is not fixed."""
    name = type(quantizer).__name__
    _check_width(place, name, int(getattr(quantizer, "bits", 1)), 0)
    if name == "bernoulli":
        raise refuse_quantizer(place, name, "its result is drawn at random at inference too")
    if isinstance(getattr(quantizer, "alpha", None), str):
        raise refuse_quantizer(
            place,
            name,
            f"alpha={quantizer.alpha!r} on an activation takes its scale from each batch",
            "use alpha=1",
        )
    if name == "quantized_bits" and _number(quantizer, "alpha", 1.0) == 1.0 and quantizer.bits > 1:
        return _of_bits(quantizer)
    if name == "quantized_relu" and _is_plain_relu(quantizer):
        frac = quantizer.bits - int(quantizer.integer)
        kind = FixedPoint(False, int(quantizer.bits), frac)
        return Fixed((kind,), Rounding.RND_CONV, Overflow.SAT, rectified=True)
    if name in ("quantized_bits", *_SIGNS):
        scale = np.full(1, abs(_number(quantizer, "alpha", 1.0)))
        return Function(lambda x: _run(quantizer, x), scale, _frac(quantizer), noisy=True)
    if name in ("quantized_relu", "quantized_tanh", "quantized_sigmoid", "quantized_hswish"):
        return Function(lambda x: _run(quantizer, x))
    if name in _POWERS:
        raise refuse_quantizer(place, name, "powers of two are carried as weights, not as activations")
    raise refuse_quantizer(place, name, "")


def _frac(quantizer: Any) -> int:
    """Fraction bits of a quantizer's codes, its scale apart."""
    if type(quantizer).__name__ != "quantized_bits" or quantizer.bits == 1:
        return 0
    return int(quantizer.bits) - int(bool(quantizer.keep_negative)) - int(quantizer.integer)


def _of_bits(quantizer: Any) -> Fixed:
    signed = bool(quantizer.keep_negative)
    bits, integer = int(quantizer.bits), int(quantizer.integer)
    kind = FixedPoint(signed, bits, bits - int(signed) - integer)
    overflow = Overflow.SAT_SYM if quantizer.symmetric and signed else Overflow.SAT
    return Fixed((kind,), Rounding.RND_CONV, overflow)


def _is_plain_relu(quantizer: Any) -> bool:
    bounded = quantizer.relu_upper_bound and not quantizer.is_quantized_clip
    return not quantizer.use_sigmoid and quantizer.negative_slope == 0 and not bounded


def _number(quantizer: Any, name: str, default: float) -> float:
    value = getattr(quantizer, name, None)
    return default if value is None else float(np.asarray(value))


def _run(quantizer: Any, values: Floats) -> Floats:
    """The quantizer's own kernels on floats."""
    import tensorflow as tf

    return np.asarray(quantizer(tf.constant(values, dtype=tf.float32)), dtype=np.float32)


def of(quantizer: Any, shape: tuple[int, ...], place: str) -> Quantizer | None:
    """Whatever quantizes at `place`; None where nothing does."""
    return of_hgq(quantizer, shape, place) if is_hgq(quantizer) else of_qkeras(quantizer, place)
