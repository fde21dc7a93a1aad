"""A quantizer on a signal: a cast where that is exact, else a table of the source's own float function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dwell.hls.frontends.dyadic import power_of_two
from dwell.hls.frontends.onnx_file import Floats, OnnxNode
from dwell.hls.frontends.qonnx.exact import InexactError, lower
from dwell.hls.frontends.qonnx.signals import Apply, Signal, Walk, refuse
from dwell.hls.frontends.qonnx.spec import CAST_ROUNDINGS, Spec, read_spec
from dwell.hls.frontends.reading import Ask, Slack
from dwell.hls.frontends.tables import TableError, steps_of
from dwell.hls.qmodel import MAX_WIDTH, Codes, FixedPoint, Rounding

#: Values that the source's kernels are asked about at a time.
_ASKED = 1 << 20
#: Up to here a table is cheaper than the arithmetic it replaces.
_FEW_LEVELS = 16


def quantize(walk: Walk, node: OnnxNode) -> Signal:
    """The integers that leave a quantizer."""
    spec = read_spec(walk, node)
    source = walk.signal(node)
    scale = walk.per_channel(source, spec.scale)
    if scale is None:
        refuse(node, f"a scale of shape {spec.scale.shape}", "use one scale, or one for each channel")
    made = _exactly(walk, node, source, spec, scale) if spec.cast else None
    made = made or _by_table(walk, node, source, spec, scale)
    if source.noise:
        whole = replace(source, expr=Apply(node, (source.expr, *node.inputs[1:])))
        walk.slack[made.at] = Slack(source.at, source.noise, _asker(walk, whole, scale, made))
    return made


def split(scale: npt.ArrayLike) -> tuple[Floats, Codes]:
    """Positive numbers as mantissas in 1 … 2 and exponents of two."""
    mantissa, exponent = np.frexp(np.asarray(scale, dtype=np.float64))
    return np.asarray(mantissa * 2.0), np.asarray(exponent - 1, dtype=np.int64)


# ---- casts


def _exactly(walk: Walk, node: OnnxNode, source: Signal, spec: Spec, scale: Floats) -> Signal | None:
    """The quantizer as a cast of exact integers, or None where there is no such thing."""
    exponent = power_of_two(scale)
    if exponent is None:
        return None
    cheaply = spec.levels <= _FEW_LEVELS or source.noise > 0
    try:
        exact = lower(walk, source, key=node.inputs[0], cheaply=cheaply)
    except InexactError:
        return None
    if not exact.plain:
        return None
    kinds = [FixedPoint(spec.type().signed, spec.type().width, -int(e)) for e in exponent]
    before = walk.build.tensor(exact.at).type
    for kind in kinds:
        if abs(kind.frac) > MAX_WIDTH or before.width + max(kind.frac - before.frac, 0) > MAX_WIDTH:
            return None
    overflow, clip = spec.overflow()
    if clip and len(kinds) > 1:
        return None
    at, rounding = exact.at, CAST_ROUNDINGS.get(spec.rounding)
    if rounding is None:  # CEIL: as much more as is less than one step, then down
        at, rounding = _raised(walk, exact, kinds), Rounding.TRN
    at = walk.build.cast(walk.fresh("act"), at, kinds, rounding, overflow)
    if clip:
        at = walk.build.clip(walk.fresh("clip"), at, spec.lo, spec.hi)
    return replace(exact, at=at, scale=np.ones(1), noise=0.0)


def _raised(walk: Walk, source: Signal, kinds: list[FixedPoint]) -> str:
    frac = walk.build.tensor(source.at).type.frac
    rise = np.array([(1 << max(frac - kind.frac, 0)) - 1 for kind in kinds], dtype=np.int64)
    if not rise.any():
        return source.at
    return walk.build.affine(walk.fresh("ceil"), source.at, [1], 0, rise, frac)


# ---- tables


def _by_table(walk: Walk, node: OnnxNode, source: Signal, spec: Spec, scale: Floats) -> Signal:
    """The quantizer with all that is float before it, as one table from the integers that are there."""
    asked = Apply(node, (source.expr, *node.inputs[1:]))
    whole = replace(source, expr=asked)
    alike = source.uniform and len(scale) == 1 and asked.scalar(walk.constants)
    rows = 1 if alike else walk.channels(source)

    def function(codes: npt.NDArray[np.generic]) -> Codes:
        found = walk.evaluate(whole, codes).astype(np.float64) / scale
        if not (np.abs(found) < 2.0**MAX_WIDTH).all():
            raise TableError("a function that gives NaN or infinity", hint="look at the constants before it")
        return np.rint(found).astype(np.int64)

    interval = walk.build.interval(source.at)
    if rows == 1:
        low, high = np.array([interval.least]), np.array([interval.greatest])
    else:
        low, high = np.array(interval.lo), np.array(interval.hi)
    try:
        steps = steps_of(function, low, high)
    except TableError as error:
        refuse(node, f"it is {error.message}", error.hint)
    mantissa, exponent = split(scale)
    levels, frac, meaning = steps.levels, 0, scale
    if (mantissa == mantissa[0]).all():
        if len(levels) < len(exponent):
            levels = np.broadcast_to(levels, (len(exponent), levels.shape[1]))
        levels = levels << (exponent - exponent.min())[:, None] if len(exponent) > 1 else levels
        frac, meaning = -int(exponent.min()), mantissa[:1]
    breaks = np.broadcast_to(steps.breaks, (len(levels), steps.breaks.shape[1]))
    kind = spec.type(frac) if spec.rounding not in ("SIGN", "TABLE") else None
    if len(exponent) > 1 or kind is None:
        kind = FixedPoint.holding(int(levels.min()), int(levels.max()), frac)
    at = walk.build.table(walk.fresh("act"), source.at, breaks, levels, frac, kind=kind)
    result = replace(source, at=at, scale=meaning, noise=0.0, expr=None)
    walk.scaled(result)
    return result


def _asker(walk: Walk, whole: Signal, scale: Floats, result: Signal) -> Ask:
    """The function a rung asks: codes of single channels to the codes that the source makes of them."""
    frac, count = walk.build.tensor(result.at).type.frac, walk.channels(result)
    step, unit = (np.broadcast_to(values, (count,)) for values in (scale, result.scale))

    def some(codes: npt.NDArray[np.float64], channels: Codes) -> Codes:
        every = np.broadcast_to(codes[:, None], (len(codes), count))
        real = walk.evaluate(whole, every)[np.arange(len(codes)), channels].astype(np.float64)
        exact = np.rint(real / step[channels]) * step[channels]
        return np.rint(np.ldexp(exact / unit[channels], frac)).astype(np.int64)

    def ask(codes: npt.NDArray[np.float64], channels: Codes) -> Codes:
        size = max(1, _ASKED // count)
        parts = [slice(start, start + size) for start in range(0, len(codes), size)]
        return np.concatenate([some(codes[part], channels[part]) for part in parts])

    return ask
