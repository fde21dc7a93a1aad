"""From nodes of the integer graph to hardware stages: one window and one pipelined kernel a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import (
    Cast,
    Conv2D,
    Dense,
    FixedPoint,
    Flatten,
    Node,
    QModel,
    Relu,
    Reshape,
    Tensor,
)
from dwell.hls.rtl.adders import multiply
from dwell.hls.rtl.casts import plan_cast
from dwell.hls.rtl.circuit import Circuit, CircuitBuilder, Range, Signal
from dwell.hls.rtl.kernel import Kernel
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.schedule import Schedule, pipeline
from dwell.hls.rtl.support import check_supported, layer_groups

#: When the newest column reaches a kernel, in adder levels: a block RAM answers later than a register.
_MEMORY_ARRIVAL = 1.8
Signals = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Window:
    """The taps of a streamed layer."""

    height: int
    width: int
    dilation: tuple[int, int]

    @property
    def rows(self) -> int:
        """Rows above the newest one that must be kept."""
        return (self.height - 1) * self.dilation[0]

    @property
    def columns(self) -> int:
        """Columns to the left of the newest one that must be kept."""
        return (self.width - 1) * self.dilation[1]

    @property
    def latency(self) -> int:
        """Clocks from a pixel to its window."""
        return 1 if self.height > 1 else 0


@dataclass(frozen=True)
class Stage:
    """One layer in hardware. `nodes` are those of the graph that it computes, the first one names it.

    `pixel` are the channels of one tap; `window` is None where the kernel takes everything at once.
    """

    name: str
    kind: str
    nodes: tuple[Node, ...]
    window: Window | None
    pixel: tuple[Range, ...]
    circuit: Circuit
    schedule: Schedule
    streamed: bool

    @property
    def latency(self) -> int:
        """Clocks from its input to its registered result."""
        return self.schedule.stages + (self.window.latency if self.window else 0)

    @property
    def kernel(self) -> Kernel:
        """The circuit in hardware."""
        return Kernel(self.name, self.kind, self.circuit, self.schedule)

    @property
    def circuit_takes_pixels(self) -> bool:
        """Whether the kernel works on one pixel of a stream, without a window."""
        return self.window is None and self.streamed

    @property
    def pixel_bits(self) -> int:
        return sum(span.bits for span in self.pixel)

    @property
    def result(self) -> tuple[Range, ...]:
        return tuple(s.range for s in self.circuit.outputs)


@dataclass(frozen=True)
class _Step:
    """An activation, a quantizer, or one after the other."""

    relu: bool
    cast: Cast | None

    def kind(self, channel: int) -> FixedPoint | None:
        if self.cast is None:
            return None
        types = self.cast.types
        return types[channel if len(types) > 1 else 0]


def lower(model: QModel, options: RtlOptions) -> tuple[Stage, ...]:
    """The stages of a design, from input to output.

    Raises `UnsupportedLayerError`, `ConfigError` or `ResourceError` for what the style cannot carry.
    """
    check_supported(model, options)
    entry = model.tensors[model.input]
    count = entry.shape[-1] if options.style == "stream" else int(np.prod(entry.shape))
    # Every code of the type, also one that the input's own cast would never give: the port can carry it.
    channels = [Range(entry.type.lo, entry.type.hi, entry.type.frac)] * count
    stages: list[Stage] = []
    for group in layer_groups(model):
        shape = model.tensors[group[0].inputs[0]].shape
        stage = _lower_group(model, group, channels, shape, options)
        stages.append(stage)
        channels = list(stage.result)
    return tuple(stages)


def _lower_group(
    model: QModel, group: list[Node], channels: list[Range], shape: tuple[int, ...], options: RtlOptions
) -> Stage:
    head = group[0]
    linear = head if isinstance(head, Conv2D | Dense) else None
    steps = _steps(group[1:] if linear else group)
    window: Window | None = None
    spans = list(channels)
    if options.style == "stream" and isinstance(linear, Conv2D):
        window = Window(linear.weight.shape[0], linear.weight.shape[1], linear.dilation)
        spans = list(channels) * (window.height * window.width)
    builder = CircuitBuilder(spans)
    signals = np.empty(len(spans), dtype=object)
    signals[:] = builder.taps
    done = 0
    if linear is not None:
        matrix = linear.weight.reshape(-1, linear.weight.shape[-1])
        first = steps[0] if steps and _channels_kept(group) else None
        rows = _rows(linear, signals, shape, options.style, model.tensors[head.output])
        signals = np.concatenate([_linear(builder, list(row), matrix, linear, first) for row in rows])
        done = 1 if first else 0
    for step in steps[done:]:
        width = model.tensors[step.cast.output].shape[-1] if step.cast else len(signals)
        signals = _each(builder, signals, step, width)
    circuit = builder.finish(list(signals))
    arrival = _arrival(window, len(channels), len(spans))
    schedule = pipeline(circuit, options.latency_cutoff, arrival)
    return Stage(
        head.name,
        type(head).__name__,
        tuple(group),
        window,
        tuple(channels),
        circuit,
        schedule,
        streamed=options.style == "stream",
    )


def _arrival(window: Window | None, channels: int, inputs: int) -> list[float]:
    if window is None or window.latency == 0:
        return [0.0] * inputs
    newest = [0.0] * (channels * (window.width - 1)) + [_MEMORY_ARRIVAL] * channels
    return newest * window.height


def _steps(nodes: Sequence[Node]) -> list[_Step]:
    steps: list[_Step] = []
    for node in nodes:
        if isinstance(node, Relu):
            steps.append(_Step(True, None))
        elif isinstance(node, Cast):
            if steps and steps[-1].cast is None:
                steps[-1] = _Step(True, node)
            else:
                steps.append(_Step(False, node))
    return steps


def _channels_kept(group: Sequence[Node]) -> bool:
    """Whether the first step after the linear layer sees its channels as they come."""
    return (
        len(group) > 1
        and isinstance(group[1], Relu | Cast)
        and not (len(group) > 2 and isinstance(group[1], Relu) and isinstance(group[2], Flatten | Reshape))
    )


def _rows(
    node: Conv2D | Dense, signals: Signals, shape: tuple[int, ...], style: str, out: Tensor
) -> list[list[Signal | None]]:
    """The inputs of each dot product, None where padding stands."""
    if style == "stream":
        return [list(signals)]
    if isinstance(node, Dense):
        return [list(row) for row in signals.reshape(-1, shape[-1])]
    cube = signals.reshape(shape)
    kh, kw, cin, _ = node.weight.shape
    top, _, left, _ = node.padding
    rows: list[list[Signal | None]] = []
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            row: list[Signal | None] = []
            for ky in range(kh):
                for kx in range(kw):
                    at = (
                        y * node.stride[0] + ky * node.dilation[0] - top,
                        x * node.stride[1] + kx * node.dilation[1] - left,
                    )
                    inside = 0 <= at[0] < shape[0] and 0 <= at[1] < shape[1]
                    row.extend(list(cube[at]) if inside else [None] * cin)
            rows.append(row)
    return rows


def _linear(
    builder: CircuitBuilder,
    row: list[Signal | None],
    matrix: npt.NDArray[np.int64],
    node: Conv2D | Dense,
    step: _Step | None,
) -> Signals:
    """Dot products, bias and the first step after them, whose rounding constant joins the bias."""
    live = [i for i, s in enumerate(row) if s is not None]
    inputs = [s for s in row if s is not None]
    out = np.empty(matrix.shape[1], dtype=object)
    for channel, product in enumerate(multiply(builder, inputs, matrix[live])):
        total = builder.rescaled(product, -node.weight_type.frac)
        bias, bias_frac = int(node.bias[channel]), node.bias_frac
        while bias % 2 == 0 and bias_frac > total.range.frac:
            bias, bias_frac = bias // 2, bias_frac - 1
        frac = max(total.range.frac, bias_frac)
        constant = bias << (frac - bias_frac)
        out[channel] = _finish(builder, total, constant, frac, step, channel)
    return out


def _finish(
    builder: CircuitBuilder, total: Signal, constant: int, frac: int, step: _Step | None, channel: int
) -> Signal:
    kind = step.kind(channel) if step else None
    if step is None or kind is None or kind.width == 0:
        return _apply(builder, builder.add_constant(total, constant, frac), step, channel)
    assert step.cast is not None
    up = frac - total.range.frac
    plan = plan_cast(
        (total.range.lo << up) + constant,
        (total.range.hi << up) + constant,
        frac,
        kind,
        relu=step.relu,
        rounding=step.cast.rounding,
        overflow=step.cast.overflow,
        free_offset=True,
    )
    summed = builder.add_constant(total, constant + plan.offset, frac)
    if summed.range.frac != frac:
        summed = builder.aligned(summed, frac)
    return builder.cast(summed, plan.rule, kind.frac)


def _apply(builder: CircuitBuilder, signal: Signal, step: _Step | None, channel: int) -> Signal:
    """A step on a value as it stands."""
    if step is None:
        return signal
    kind = step.kind(channel)
    span = signal.range
    if step.cast is None or kind is None:
        return builder.relu(signal)
    if kind.width == 0:
        return builder.constant(0, kind.frac)
    plan = plan_cast(
        span.lo,
        span.hi,
        span.frac,
        kind,
        relu=step.relu,
        rounding=step.cast.rounding,
        overflow=step.cast.overflow,
        free_offset=False,
    )
    return builder.cast(signal, plan.rule, kind.frac)


def _each(builder: CircuitBuilder, signals: Signals, step: _Step, channels: int) -> Signals:
    out = np.empty(len(signals), dtype=object)
    for index, signal in enumerate(signals):
        out[index] = _apply(builder, signal, step, index % channels)
    return out
