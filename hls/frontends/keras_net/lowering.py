"""Nodes of the integer graph for values, quantizers and functions: what all kinds of layers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np

from dwell.errors import ConfigError, UnsupportedLayerError, UserError
from dwell.hls.frontends.dyadic import exact_codes, least_frac
from dwell.hls.frontends.keras_net.quantizers import Fixed, Function, Quantizer
from dwell.hls.frontends.keras_net.values import NO_PADS, ONE, Floats, Raw, Real, Step, Value, settled
from dwell.hls.frontends.keras_net.weights import Weights
from dwell.hls.frontends.reading import Ending, Slack
from dwell.hls.frontends.tables import steps_of
from dwell.hls.qmodel import Codes, FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.arithmetic import float_to_codes
from dwell.hls.qmodel.build import Builder

PROPOSED_INPUT = "fixed<16,6>"
#: How far a noisy quantizer may be beside its grid, in steps of the grid.
OFF_GRID = 2.0**-12
_MOST_FRAC = 24  # of a function's results, which are float32
_PROBES = 1 << 14
_ULP = 2.0**-24  # half the distance of float32 numbers, relative
_STEP_NOISE = 4 * _ULP


class Lowering:
    """Appends nodes to a graph under construction. Errors name the layer that is being read, `place`."""

    def __init__(self, input_type: FixedPoint | None, supported: tuple[str, ...]) -> None:
        self.build = Builder()
        self.quantizers: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.slack: dict[str, Slack] = {}
        self.ending: Ending | None = None
        self.layer, self.kind, self.place = "", "", ""
        self._input_type = input_type
        self._supported = supported
        self._entry: str | None = None
        self._counts: dict[str, int] = {}

    def inside(self) -> Lowering:
        """For a graph inside this one: errors name the same layer, everything else is its own."""
        other = Lowering(None, self._supported)
        other.layer, other.kind, other.place = self.layer, self.kind, self.place
        return other

    def refuse(self, reason: str, hint: str = "") -> NoReturn:
        raise UnsupportedLayerError(self.layer, self.kind, self._supported, reason=reason, hint=hint)

    def fresh(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}"

    def shape(self, value: Value | Raw) -> tuple[int, ...]:
        if isinstance(value, Raw):
            return value.shape
        return self.build.tensor(value.name).shape if value.shape is None else value.shape

    def made(self, name: str, scale: Real = ONE, steps: tuple[Step, ...] = (), noise: float = 0.0) -> Value:
        """A value of a new tensor, whose scale is noted in the graph too."""
        self.build.scaled(name, _number(scale))
        return Value(name, scale if scale.size > 1 else scale.reshape(1), steps, noise=noise)

    def like(self, value: Value, name: str) -> Value:
        """A value of a new tensor that stands for what `value` stands for: moved, or the largest of some."""
        return self.made(name, value.scale, value.steps, value.noise)

    def joined(self, name: str, scale: Real, values: Sequence[Value]) -> Value:
        """A value of a new tensor whose codes are sums of those of `values`, aligned."""
        frac, span = self.build.tensor(name).type.frac, self.build.interval(name)
        fracs = [self.build.tensor(value.name).type.frac for value in values]
        noise = sum(v.noise * 2.0 ** (frac - own) for v, own in zip(values, fracs, strict=True))
        reach = max(-span.least, span.greatest)
        return self.made(name, scale, noise=noise + (_ULP * reach if noise or reach >= 1 << 24 else 0.0))

    # ---- the input

    def entered(self, value: Value | Raw) -> Value:
        """The value; a raw input becomes one by the input type that was asked for."""
        if isinstance(value, Value):
            return value
        if self._entry is None:
            if self._input_type is None:
                raise ConfigError(
                    f"{value.name}: the network does not quantize its input, so its type has to be given",
                    hint=f"add --input-type '{PROPOSED_INPUT}', or whatever holds its values",
                    place="convert.input_type",
                )
            self._entry = self.build.input("input", value.shape, self._input_type)
        return Value(self._entry)

    def _entered_by(self, raw: Raw, fixed: Fixed) -> Value | None:
        """The input cast by the network's own first quantizers, where nothing else reads it."""
        casts = [cast for cast in raw.casts if isinstance(cast, Fixed)]
        if not casts or any(not _starts(cast) for cast in casts):
            return None
        if all(cast == fixed for cast in casts) and len(fixed.types) == 1:
            kind = fixed.types[0]
            if kind.width == 0:
                self.refuse("it quantizes its input to no bits at all", "give it bits")
            self._check_asked(kind)
            if self._entry is None:
                self._entry = self.build.input("input", raw.shape, kind, fixed.rounding, fixed.overflow)
            return Value(self._entry)
        rounded = all(cast.rounding in (Rounding.TRN, Rounding.RND) for cast in casts)
        modes = {cast.overflow is Overflow.WRAP for cast in casts}
        if self._input_type is not None or not rounded or len(modes) > 1:
            return None
        if self._entry is None:
            overflow = Overflow.WRAP if modes == {True} else Overflow.SAT
            self._entry = self.build.input("input", raw.shape, _common(casts), Rounding.TRN, overflow)
        return self._cast(Value(self._entry), fixed)

    def _check_asked(self, kind: FixedPoint) -> None:
        if self._input_type not in (None, kind):
            raise ConfigError(
                f"input type {self._input_type} is asked for, but the network quantizes its input to {kind}",
                hint="leave the input type out",
                place="convert.input_type",
            )

    # ---- quantizers

    def quantize(self, value: Value | Raw, quantizer: Quantizer | None, place: str) -> Value | Raw:
        """The value through a quantizer, which `place` names in the source framework."""
        if quantizer is None:
            return value
        done = (
            self._entered_by(value, quantizer)
            if isinstance(value, Raw) and isinstance(quantizer, Fixed)
            else None
        )
        if done is None:
            done = self._quantized(self._with_pads(self.entered(value)), quantizer)
        self.quantizers.append((place, done.name))
        return done

    def _quantized(self, value: Value, quantizer: Quantizer) -> Value:
        if value.shape is not None:
            if isinstance(quantizer, Function) or len(quantizer.types) == 1:
                done = self._quantized(replace(value, shape=None), quantizer)
                return self.shaped(replace(done, shape=value.shape))
            value = self.shaped(value)
        if isinstance(quantizer, Function):
            return self._tabulated(value, quantizer)
        if not value.exact:
            done = self._tabulated_cast(value, quantizer)
        else:
            at = self.build.relu(self.fresh("relu"), value.name) if quantizer.rectified else value.name
            done = self._cast(self.like(value, at), quantizer)
        return self._moved(done, quantizer.affine) if quantizer.affine else done

    def _cast(self, value: Value, fixed: Fixed) -> Value:
        def cast(name: str) -> str:
            return self.build.cast(self.fresh("act"), name, fixed.types, fixed.rounding, fixed.overflow)

        done = Value(self._by_element(value.name, cast) if fixed.per_element else cast(value.name))
        if value.noise and not fixed.per_element:
            frac = self.build.tensor(done.name).type.frac
            self._excuse(done.name, value, lambda real: _cast_floats(real, fixed, frac))
        return done

    def _excuse(self, tensor: str, value: Value, codes: Callable[[Floats], Codes]) -> None:
        """Where the source's float sums are not exact, say how far off they may be and what they would give."""
        frac, channels = self.build.tensor(value.name).type.frac, self.build.tensor(value.name).shape[-1]

        def ask(sums: Real, of: Codes) -> Codes:
            spread = np.zeros((len(sums), channels))
            spread[np.arange(len(sums)), of] = sums
            return codes(value.real(spread, frac))[np.arange(len(sums)), of]

        self.slack[tensor] = Slack(value.name, value.noise, ask)

    def _by_element(self, name: str, act: Callable[[str], str]) -> str:
        """`act` on the tensor as one row, so that what holds per channel holds per element."""
        shape = self.build.tensor(name).shape
        if len(shape) == 1:
            return act(name)
        flat = self.build.flatten(self.fresh("flat"), name)
        return self.build.reshape(self.fresh("shape"), act(flat), shape)

    def _moved(self, value: Value, affine: tuple[float, float]) -> Value:
        """Times a factor plus an offset, both exact in binary."""
        (weight, weight_frac), (bias, bias_frac) = (
            self._dyadic(np.array([v]), "its factors") for v in affine
        )
        return Value(
            self.build.affine(self.fresh("affine"), value.name, weight, weight_frac, bias, bias_frac)
        )

    def _dyadic(self, values: Real, what: str) -> tuple[Codes, int]:
        frac = least_frac(values, _MOST_FRAC)
        codes = exact_codes(values, frac) if frac is not None else None
        if frac is None or codes is None:
            self.refuse(f"{what} are no multiples of a power of two")
        return codes, frac

    # ---- tables

    def _tabulated_cast(self, value: Value, fixed: Fixed) -> Value:
        if fixed.per_element:
            self.refuse(
                "a float function of each channel meets a type for every element",
                "quantize per channel at most: heterogeneous_axis=(-1,) or () in QuantizerConfigScope",
            )
        frac = max((t.frac for t in fixed.types if t.width), default=0)

        def codes(real: Floats) -> Codes:
            low = np.maximum(real, 0) if fixed.rectified else real
            return _cast_floats(low, fixed, frac)

        name = self._table(value, codes, frac)
        self._excuse(name, self._heard(value), codes)
        return Value(name)

    def _tabulated(self, value: Value, function: Function) -> Value:
        scale = function.scale
        frac = function.frac if function.frac is not None else self._frac_of(value, function)

        def codes(real: Floats) -> Codes:
            steps = np.ldexp(function.function(real).astype(np.float64) / scale, frac)
            whole = np.rint(steps)
            if np.abs(steps - whole).max(initial=0.0) > OFF_GRID:
                self.refuse("its results are on no grid", "give it a scale (alpha) that is a number")
            return whole.astype(np.int64)

        name = self._table(value, codes, frac)
        self._excuse(name, self._heard(value), codes)
        return self.made(name, scale)

    def _heard(self, value: Value) -> Value:
        """With the noise of the float functions that are pending, which another order of kernels may shift."""
        span = self.build.interval(value.name)
        reach = max(-span.least, span.greatest, 1)
        return replace(value, noise=value.noise + (_STEP_NOISE * reach if not value.exact else 0.0))

    def _frac_of(self, value: Value, function: Function) -> int:
        """The fraction bits of what a function gives, found on codes all over the reachable range."""
        span = self.build.interval(value.name)
        probes = np.unique(np.linspace(span.least, span.greatest, _PROBES).astype(np.int64))
        codes = np.repeat(probes[:, None], self.shape(value)[-1], axis=1)
        frac = self.build.tensor(value.name).type.frac
        results = function.function(value.real(codes, frac)).astype(np.float64) / function.scale
        found = least_frac(results, _MOST_FRAC)
        if found is None:
            self.refuse("its results are no multiples of a power of two", "use a quantizer after it")
        return found

    def _table(self, value: Value, codes: Callable[[Floats], Codes], frac: int) -> str:
        tensor, span = self.build.tensor(value.name), self.build.interval(value.name)

        def function(given: Codes) -> Codes:
            return codes(value.real(given, tensor.type.frac))

        try:
            steps = steps_of(function, np.array(span.lo), np.array(span.hi))
        except UserError as error:
            if isinstance(error, UnsupportedLayerError):
                raise
            self.refuse(error.message, error.hint)
        return self.build.table(self.fresh("table"), value.name, steps.breaks, steps.levels, frac)

    # ---- values between layers

    def padded(self, value: Value) -> Value:
        """The value with its zeros around it and in its shape, which take nodes of their own."""
        return self.shaped(self._with_pads(value))

    def _with_pads(self, value: Value) -> Value:
        """Zeros that no convolution has taken, put there by one of its own."""
        if value.pads == NO_PADS:
            return value
        channels = self.shape(value)[-1]
        ones, zeros = np.ones((1, 1, 1, channels), dtype=np.int64), np.zeros(channels, dtype=np.int64)
        name = self.build.conv2d(
            self.fresh("pad"), value.name, ones, 0, zeros, 0, padding=value.pads, groups=channels
        )
        return self.like(value, name)

    def shaped(self, value: Value) -> Value:
        """The value in the shape it is to have; what is pending per channel is repeated."""
        shape = value.shape
        if shape is None:
            return value
        before = self.build.tensor(value.name).shape
        if len(shape) == 1:
            name = self.build.flatten(self.fresh("flat"), value.name)
        else:
            name = self.build.reshape(self.fresh("shape"), value.name, shape)
        channels, times = before[-1], shape[-1] // before[-1]
        scale, steps = value.scale, value.steps
        if (scale.size > 1 or steps) and shape[-1] != channels:
            if shape[-1] % channels:
                self.refuse("a float function of each channel is still pending", "quantize before it")
            scale = np.tile(np.broadcast_to(scale, channels), times) if scale.size > 1 else scale
            steps = tuple(step.tiled(channels, times) for step in steps)
        return self.made(name, scale, steps, value.noise)

    def plain(self, value: Value | Raw, what: str) -> Value:
        """A value that has one scale and no float function pending; else it is refused before `what`."""
        value = settled(self.entered(value))
        if not value.plain:
            steps = " and ".join(step.text for step in value.steps) or "a scale for every channel"
            self.refuse(f"{steps} reaches {what} without a quantizer", "quantize what enters it")
        return self.shaped(replace(value, scale=value.scale[:1]))

    def rising(self, value: Value) -> bool:
        """Whether everything pending keeps the order of codes, so that a maximum may be taken before it."""
        if not value.steps:
            return bool((value.scale > 0).all())
        span, channels = self.build.interval(value.name), self.build.tensor(value.name).shape[-1]
        probes = np.unique(np.linspace(span.least, span.greatest, _PROBES).astype(np.int64))
        real = value.real(
            np.repeat(probes[:, None], channels, axis=1), self.build.tensor(value.name).type.frac
        )
        return bool((np.diff(real, axis=0) >= 0).all())

    def summed(self, value: Value, weights: Weights, name: str, bias: Weights | None) -> Value:
        """What a product with weights gives: its scale, and a bias that could not be a code as a step."""
        scale = value.scale * weights.scale
        terms = weights.codes.size // weights.codes.shape[-1]
        most = int(np.abs(weights.codes).reshape(-1, weights.codes.shape[-1]).sum(axis=0).max())
        span = self.build.interval(value.name)
        reach = most * max(-span.least, span.greatest, 1)
        noise = value.noise * most
        if value.noise or not (scale == 1.0).all() or reach >= 1 << 24:
            noise += (terms + 2) * _ULP * reach
        done = self.made(name, scale, noise=noise * self._finer(name, value, weights))
        if bias is None:
            return done
        offset = bias.values.astype(np.float32)
        step = Step("a float bias", lambda x: x + offset, (ONE, offset.astype(np.float64)))
        return done.then(step)

    def _finer(self, name: str, value: Value, weights: Weights) -> float:
        """How many codes of a sum are one of its products': a finer bias makes more of them."""
        products = self.build.tensor(value.name).type.frac + weights.frac
        return float(2.0 ** (self.build.tensor(name).type.frac - products))

    # ---- the output

    def output(self, value: Value | Raw) -> str:
        """The tensor whose codes are the network's results; its scale and offset say what they stand for."""
        value = self.padded(self.entered(value))
        scale, offset = value.scale, np.zeros(1)
        for step in value.steps:
            if step.affine is None:
                self.refuse(f"{step.text} ends the network without a quantizer", "quantize its output")
            scale, offset = scale * step.affine[0], offset * step.affine[0] + step.affine[1]
        self.build.scaled(value.name, _number(scale), _number(offset))
        noise = self._heard(value).noise
        if noise:
            each = tuple(float(s) for s in np.atleast_1d(scale))
            self.ending = Ending("", each, "", noise)
        return value.name


def _number(values: Real) -> float | tuple[float, ...]:
    return float(values[0]) if (values == values[0]).all() else tuple(float(v) for v in values)


def _starts(cast: Fixed) -> bool:
    """Whether a cast can be the input's own: a rectifier before one that saturates at zero changes nothing."""
    saturates = cast.overflow is Overflow.SAT and not any(kind.signed for kind in cast.types)
    return cast.affine is None and (not cast.rectified or saturates)


def _cast_floats(real: Floats, fixed: Fixed, frac: int) -> Codes:
    """Floats (N, C) cast to the type, or to each channel's, as codes of `frac` fraction bits."""
    columns = []
    for at, values in enumerate(real.T):
        kind = fixed.types[at % len(fixed.types)]
        codes = np.zeros(len(values), dtype=np.int64)
        if kind.width:
            codes = float_to_codes(values, kind, fixed.rounding, fixed.overflow) << (frac - kind.frac)
        columns.append(codes)
    return np.stack(columns, axis=1)


def _common(casts: list[Fixed]) -> FixedPoint:
    """A type whose truncation loses nothing that casts rounding half up, or down, look at."""
    live = [t for cast in casts for t in cast.types if t.width > 0]
    signed = any(t.signed for t in live)
    integer = max((t.width - t.frac - t.signed for t in live), default=0)
    frac = max((t.frac for t in live), default=0) + 1
    return FixedPoint(signed, max(1, integer + frac + signed), frac)
