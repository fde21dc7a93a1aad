"""What a quantizer of the file says: Quant, BipolarQuant and Trunc, their constants checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dwell.hls.frontends.onnx_file import Array, Floats, OnnxNode
from dwell.hls.frontends.qonnx.signals import Walk, Weights, integer, refuse
from dwell.hls.qmodel import MAX_WIDTH, FixedPoint, Overflow, Rounding

#: Widest quantizer that is carried.
MAX_BITS = 32
QUANTIZERS = ("Quant", "IntQuant", "BipolarQuant", "Trunc")

#: QONNX' rounding modes as casts. Those that are not here (UP, CEIL) have no cast of their own.
CAST_ROUNDINGS = {
    "ROUND": Rounding.RND_CONV,
    "HALF_EVEN": Rounding.RND_CONV,
    "FLOOR": Rounding.TRN,
    "DOWN": Rounding.TRN_ZERO,
    "HALF_UP": Rounding.RND_INF,  # half away from zero, whatever the name says
    "HALF_DOWN": Rounding.RND_ZERO,
}
ROUNDINGS = (*CAST_ROUNDINGS, "CEIL", "UP")
#: Those that do not care where zero is.
_SHIFTABLE = ("FLOOR", "CEIL")


@dataclass(frozen=True, eq=False)
class Spec:
    """A quantizer: codes `lo` … `hi` (the zero point subtracted) stand for code * `scale`.

    `scale` has the shape it has in the file. `rounding` is QONNX' name of it; "SIGN" gives -1 or 1.
    """

    lo: int
    hi: int
    scale: Floats
    zero: int
    rounding: str
    signed: bool
    bits: int

    @property
    def levels(self) -> int:
        return self.hi - self.lo + 1

    @property
    def cast(self) -> bool:
        """Whether rounding and overflow are those of a cast, perhaps with a clip behind it."""
        known = self.rounding in CAST_ROUNDINGS or self.rounding == "CEIL"
        return known and (self.zero == 0 or self.shifts)

    @property
    def shifts(self) -> bool:
        """Whether its rounding commutes with taking the zero point away."""
        return self.rounding in _SHIFTABLE or (self.rounding in ("ROUND", "HALF_EVEN") and self.zero % 2 == 0)

    def type(self, frac: int = 0) -> FixedPoint:
        """The type that holds its codes: the declared one, where there is no zero point."""
        if self.zero or self.rounding == "SIGN":
            return FixedPoint.holding(self.lo, self.hi, frac)
        return FixedPoint(self.signed, self.bits, frac)

    def overflow(self) -> tuple[Overflow, bool]:
        """A cast's overflow, and whether a clip to `lo` … `hi` has to follow."""
        kind = self.type()
        if (self.lo, self.hi) == (kind.lo, kind.hi):
            return Overflow.SAT, False
        if kind.signed and (self.lo, self.hi) == (-kind.hi, kind.hi):
            return Overflow.SAT_SYM, False
        return Overflow.SAT, True


def read_spec(walk: Walk, node: OnnxNode) -> Spec:
    """The constants of a quantizer, or `UnsupportedLayerError` for those that cannot be carried."""
    if node.op == "BipolarQuant":
        scale = _scale(node, walk.constant(node, 1, "its scale"))
        return Spec(-1, 1, scale, 0, "SIGN", True, 2)
    if node.op == "Trunc":
        return _read_trunc(walk, node)
    if len(node.inputs) != 4:
        refuse(node, f"it has {len(node.inputs)} inputs, not 4", "export the network again")
    names = ("its scale", "its zero point", "its width")
    scale, zero, bits = (walk.constant(node, at, what) for at, what in enumerate(names, start=1))
    width = _bits(node, bits)
    signed, narrow = integer(node, "signed", 1) != 0, integer(node, "narrow", 0) != 0
    mode = _rounding(node, ROUNDINGS)
    shift = _zero(node, zero)
    if signed and width == 1:
        return Spec(-1 - shift, 1 - shift, _scale(node, scale), shift, "SIGN", True, 2)
    lo = (-(1 << (width - 1)) + int(narrow)) if signed else 0
    hi = (1 << (width - 1)) - 1 if signed else (1 << width) - 1 - int(narrow)
    return Spec(lo - shift, hi - shift, _scale(node, scale), shift, mode, signed, width)


def _read_trunc(walk: Walk, node: OnnxNode) -> Spec:
    """Trunc drops low bits of codes that are integers already; only its result's scale matters here."""
    names = ["its scale", "its zero point", "its input's width", "its output's scale", "its output's width"]
    if len(node.inputs) == 5:
        del names[3]
    values = [walk.constant(node, at, what) for at, what in enumerate(names, start=1)]
    if _zero(node, values[1]):
        refuse(node, "its zero point is not 0", "use a symmetric quantizer")
    _rounding(node, ROUNDINGS)
    width = _bits(node, values[-1])
    signed = integer(node, "signed", 1) != 0
    lo, hi = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    if len(node.inputs) == 5:  # the older form does not clip, and keeps the scale
        width = _bits(node, values[2])
        lo, hi = -(1 << width), (1 << width) - 1
    return Spec(
        lo, hi, _scale(node, values[3 if len(node.inputs) == 6 else 0]), 0, "TABLE", lo < 0, width + 1
    )


def _bits(node: OnnxNode, values: Array) -> int:
    width = float(values.reshape(-1)[0]) if values.size == 1 else 0.5
    if width % 1 or not 1 <= width <= MAX_BITS:
        found = ", ".join(f"{v:g}" for v in values.reshape(-1)[:4])
        refuse(node, f"a width of {found} bits", f"use one whole width of 1 to {MAX_BITS}")
    return int(width)


def _zero(node: OnnxNode, values: Array) -> int:
    if values.size == 0 or (values != values.reshape(-1)[0]).any():
        refuse(node, "a zero point for each channel", "use one zero point, or symmetric quantizers")
    zero = float(values.reshape(-1)[0])
    if zero % 1 or abs(zero) >= 2.0**MAX_BITS:
        refuse(node, f"its zero point, {zero:g}, is not a whole number", "round it before export")
    return int(zero)


def _rounding(node: OnnxNode, known: tuple[str, ...]) -> str:
    mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in known:
        refuse(node, f"rounding mode {mode!r}", f"use one of {', '.join(known)}")
    return mode


def _scale(node: OnnxNode, values: Array) -> Floats:
    scale = values.astype(np.float64)
    bad = scale[~((scale > 0) & (scale > 2.0**-MAX_WIDTH) & (scale < 2.0**MAX_WIDTH))]
    if scale.size == 0 or bad.size:
        shown = f"{bad.reshape(-1)[0]:g}" if bad.size else "missing"
        refuse(node, f"its scale, {shown}, is not a positive number near 1", "rescale the network")
    return scale


def quantized_constant(walk: Walk, node: OnnxNode) -> Weights:
    """A constant under its quantizer, as QONNX' own kernel computes it."""
    spec = read_spec(walk, node)
    inputs = [walk.constants[name] if name else None for name in node.inputs]
    found = walk.kernel(node)(inputs)[0].astype(np.float64)
    try:
        scale = np.broadcast_to(spec.scale, found.shape)
    except ValueError:
        refuse(node, f"a scale of shape {spec.scale.shape} for {found.shape}", "export the network again")
    codes = np.rint(found / scale).astype(np.int64)
    if codes.size == 0 or (codes < spec.lo).any() or (codes > spec.hi).any():
        refuse(node, "its codes are not those of its type", "export the network again")
    walk.constants[node.outputs[0]] = found.astype(np.float32)
    return Weights(codes, np.asarray(scale), spec.type(), node)
