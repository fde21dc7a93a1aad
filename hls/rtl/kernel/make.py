"""Kernels for other styles to place: one window, pixel or vector of the graph as a pipelined module.

    kernel = make_kernel([conv, relu, cast], model.tensors, taps, cutoff=options.latency_cutoff)
    checked = check_kernel(kernel, [conv, relu, cast], model.tensors)
    text = print_kernel(kernel, "net_conv1", header)

gives a module ``net_conv1 (aclk, taps, result)`` that takes a window every clock, without a stall, and has its
result `kernel.latency` clocks later; `taps` packs the inputs at their own widths, first one lowest,
`result` the outputs, `kernel.result`.

The first node may be

- a `Conv2D` (with its groups) or a `Pool2D`: `taps` are the window's taps row by row, all channels of each.
  Stride, dilation and padding are the business of whoever fills the window: where a tap lies in the padding
  it reads zero (so the intervals in `taps` must include 0), for a maximum the lowest code of its interval.
- a `Dense`, `Softmax` or `TopK`: one vector.
- an `Add` or `Multiply`: the channels of the first tensor, then those of the second.
- an element-wise node: channels of one pixel, or of as many pixels as there are taps.

The nodes after it are element-wise, and read nothing but the one before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dwell.errors import InternalError
from dwell.hls.qmodel import Add, Codes, Conv2D, Dense, Multiply, Node, Pool2D, Softmax, Tensor, TopK
from dwell.hls.qmodel.kernels import evaluate
from dwell.hls.qmodel.ranges import Interval
from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range
from dwell.hls.rtl.circuit.elementwise import apply_node, joined, window_values
from dwell.hls.rtl.circuit.fusion import fuse_sums
from dwell.hls.rtl.circuit.passes import Passes
from dwell.hls.rtl.circuit.schedule import pipeline
from dwell.hls.rtl.circuit.values import Value, fitted, settled
from dwell.hls.rtl.kernel.kernel import Kernel, print_kernel

__all__ = ["Kernel", "check_kernel", "make_kernel", "pixel_ranges", "print_kernel"]

#: Windows that `check_kernel` compares.
_VECTORS = 1024


def pixel_ranges(tensor: Tensor, interval: Interval | None = None) -> tuple[Range, ...]:
    """One range for each channel of `tensor`: every code of its type, or of `interval` where given."""
    if interval is None:
        return (Range(tensor.type.lo, tensor.type.hi, tensor.type.frac),) * tensor.shape[-1]
    ends = zip(interval.lo, interval.hi, strict=True)
    return tuple(Range(lo, hi, tensor.type.frac) for lo, hi in ends)


def make_kernel(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    taps: Sequence[Range],
    *,
    cutoff: float,
    arrival: Sequence[float] | None = None,
    passes: Passes | None = None,
) -> Kernel:
    """The kernel of `nodes` over `taps`, see above.

    Stages hold at most `cutoff` adder levels of logic; `arrival` says at how many of them each tap is
    there in the first one (default: at once); `passes` make it smaller (default: all).
    """
    builder = CircuitBuilder(taps, passes)
    head = nodes[0]
    signals = builder.taps
    if isinstance(head, Conv2D | Dense | Pool2D | Softmax | TopK):
        values = window_values(builder, signals, head, tensors)
    elif isinstance(head, Add | Multiply):
        half = len(signals) // 2
        pairs = zip(signals[:half], signals[half:], strict=True)
        values = [joined(builder, Value(a), Value(b), head) for a, b in pairs]
    else:
        values = apply_node(builder, [Value(s) for s in signals], head, tensors)
    for node in nodes[1:]:
        values = apply_node(builder, values, node, tensors)
    frac = tensors[nodes[-1].output].type.frac
    circuit = builder.finish([fitted(builder, settled(builder, value), frac) for value in values])
    circuit = fuse_sums(circuit).circuit if builder.passes.fuse else circuit
    schedule = pipeline(circuit, cutoff, arrival or [0.0] * len(taps))
    return Kernel(head.name, type(head).__name__, circuit, schedule)


def check_kernel(kernel: Kernel, nodes: Sequence[Node], tensors: Mapping[str, Tensor], seed: int = 0) -> int:
    """Hold a kernel's circuit against the golden model's own nodes; return how many codes were compared.

    The inputs are random, at both ends of each tap, and at the ends that make each sum of products largest
    and smallest, whether a frame can reach them or not. Raises `InternalError` naming the first
    difference.
    """
    taps = _inputs(kernel, nodes[0], np.random.default_rng(seed))
    wanted = _golden(kernel, nodes, tensors, taps)
    frac = tensors[nodes[-1].output].type.frac
    up = np.array([frac - span.frac for span in kernel.result], dtype=np.int64)
    got = kernel.circuit.evaluate(taps) << up
    wrong = np.argwhere(got != wanted)
    if len(wrong):
        row, place = (int(v) for v in wrong[0])
        raise InternalError(
            f"kernel '{kernel.name}': the circuit gives {got[row, place]}, the golden model "
            f"{wanted[row, place]} (vector {row}, output {place}; {len(wrong)} of {got.size} differ)"
        )
    return int(got.size)


def _inputs(kernel: Kernel, head: Node, rng: np.random.Generator) -> Codes:
    low = np.array([span.lo for span in kernel.circuit.inputs], dtype=np.int64)
    high = np.array([span.hi for span in kernel.circuit.inputs], dtype=np.int64)
    rows = [low[None], high[None], rng.integers(low, high + 1, (_VECTORS, len(low)))]
    rows.append(np.where(rng.random((64, len(low))) < 0.5, low, high))
    near = rng.integers(-8, 9, (_VECTORS // 4, len(low)))  # where saturation and rounding begin
    rows.append(np.clip(near, low, high))
    if isinstance(head, Conv2D | Dense):
        positive = _spread(head, len(low)) > 0
        rows += [np.where(positive, high, low), np.where(positive, low, high)]
    return np.concatenate(rows)


def _spread(node: Conv2D | Dense, taps: int) -> Codes:
    """(outputs, taps) weights, zero for taps of other groups."""
    groups = node.groups if isinstance(node, Conv2D) else 1
    cin, cout = node.weight.shape[-2:]
    whole = np.zeros((taps // (groups * cin), groups, cin, cout), dtype=np.int64)
    flat = node.weight.reshape(-1, cin, cout)
    for group in range(groups):
        part = slice(group * (cout // groups), (group + 1) * (cout // groups))
        whole[:, group, :, part] = flat[:, :, part]
    return whole.reshape(taps, cout).T


def _golden(kernel: Kernel, nodes: Sequence[Node], tensors: Mapping[str, Tensor], taps: Codes) -> Codes:
    """What the interpreter makes of the taps."""
    head = nodes[0]
    source = tensors[head.inputs[0]]
    fracs = [source.type.frac] * taps.shape[1]
    if isinstance(head, Add | Multiply):
        half = taps.shape[1] // 2
        fracs[half:] = [tensors[head.inputs[1]].type.frac] * half
    up = np.array([f - s.frac for f, s in zip(fracs, kernel.circuit.inputs, strict=True)], dtype=np.int64)
    codes = taps << up
    given = [codes]
    if isinstance(head, Add | Multiply):
        given = [codes[:, :half], codes[:, half:]]
    elif isinstance(head, Conv2D | Pool2D):
        size = head.weight.shape[:2] if isinstance(head, Conv2D) else head.size
        given = [codes.reshape(len(codes), *size, -1)]
        head = replace(head, stride=(1, 1), padding=(0, 0, 0, 0))
        head = replace(head, dilation=(1, 1)) if isinstance(head, Conv2D) else head
    elif not isinstance(head, Dense | Softmax | TopK):
        given = [codes.reshape(len(codes), -1, source.shape[-1])]
    interval = _interval(given[0])
    for node in (head, *nodes[1:]):
        sources = [tensors[name] for name in node.inputs]
        given = [evaluate(node, sources, tensors[node.output], interval, given)]
        interval = _interval(given[0])
    return given[0].reshape(len(taps), -1)


def _interval(codes: Codes) -> Interval:
    """What these very codes span, in each channel."""
    flat = codes.reshape(-1, codes.shape[-1])
    return Interval(tuple(int(v) for v in flat.min(axis=0)), tuple(int(v) for v in flat.max(axis=0)))
