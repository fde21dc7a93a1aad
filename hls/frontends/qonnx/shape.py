"""Operators that move elements: reshaping, transposing, cutting, joining, repeating, padding."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dwell.hls.frontends.onnx_file import OnnxNode
from dwell.hls.frontends.qonnx.elementwise import common_scale, settled
from dwell.hls.frontends.qonnx.signals import Signal, Unflattened, Walk, integer, integers, refuse

#: Longest last axis: that of a vector, or the channels.
MAX_VALUES = 1 << 17
_BATCH = "the first axis counts frames: leave it alone"


def natural(walk: Walk, node: OnnxNode, signal: Signal) -> Signal:
    """The tensor in the file's own order of axes, so that it can be reshaped."""
    order = tuple(range(1, len(signal.order) + 1))
    if signal.order[-1] != order[-1] and not signal.uniform:
        refuse(node, "it moves channels that have a scale each", "quantize the tensor with one scale")
    return walk.reorder(signal, order)


def reshape_to(walk: Walk, node: OnnxNode, shape: tuple[int, ...]) -> None:
    """The output is the first input in another shape, (1, …)."""
    source = settled(walk, node, node.inputs[0])
    if not shape or shape[0] != 1 or math.prod(shape) != math.prod(walk.shape(source)):
        refuse(node, f"{walk.shape(source)} does not become {shape}", _BATCH)
    if len(shape) == 1:
        refuse(node, "it leaves no axis but that of the frames", _BATCH)
    if shape[-1] > MAX_VALUES:
        refuse(
            node,
            f"a vector of {shape[-1]} values; {MAX_VALUES} are the most",
            "use smaller frames, or pool first",
        )
    if not source.uniform:
        refuse(node, "it mixes channels that have a scale each", "quantize the tensor with one scale")
    stored = walk.build.tensor(source.at).shape
    long = [axis for axis, length in zip(source.order, stored, strict=True) if length > 1]
    plain = source if long == sorted(long) else natural(walk, node, source)
    order = tuple(range(1, len(shape)))
    at = plain.at
    if walk.build.tensor(at).shape != shape[1:]:
        at = walk.build.reshape(walk.fresh("reshape"), at, shape[1:])
    walk.set(node, replace(plain, at=at, order=order, scale=plain.scale[:1]))
    if len(shape) == 2 and source.at != plain.at:
        flat = walk.build.flatten(walk.fresh("flatten"), source.at)
        lengths = walk.shape(source)[1:]
        index = np.arange(math.prod(lengths)).reshape(lengths)
        rows = index.transpose([axis - 1 for axis in source.order]).reshape(-1)
        signal = replace(source, at=flat, order=(1,), scale=source.scale[:1])
        walk.unflattened[node.outputs[0]] = Unflattened(signal, rows)


def reshape(walk: Walk, node: OnnxNode) -> None:
    """Reshape with a constant shape; 0 keeps an axis, -1 is found."""
    before = walk.shape(walk.signal(node))
    wanted = [int(n) for n in walk.constant(node, 1, "its shape").reshape(-1)]
    if integer(node, "allowzero", 0) == 0:
        wanted = [before[at] if n == 0 and at < len(before) else n for at, n in enumerate(wanted)]
    if wanted.count(-1) == 1:
        known = math.prod(n for n in wanted if n != -1)
        total = math.prod(before)
        if known <= 0 or total % known:
            refuse(node, f"{before} does not become {tuple(wanted)}", "export the network again")
        wanted[wanted.index(-1)] = total // known
    if min(wanted, default=0) < 1:
        refuse(node, f"{before} does not become {tuple(wanted)}", "export the network again")
    reshape_to(walk, node, tuple(wanted))


def flatten(walk: Walk, node: OnnxNode) -> None:
    """Flatten behind the axis of frames."""
    shape = walk.shape(walk.signal(node))
    if integer(node, "axis", 1) not in (1, 1 - len(shape)):
        refuse(node, f"axis {node.attributes['axis']}", "flatten from axis 1 on")
    reshape_to(walk, node, (1, math.prod(shape)))


def _axes(walk: Walk, node: OnnxNode, rank: int) -> list[int] | None:
    """The axes of Squeeze, Unsqueeze or a reduction: an attribute once, an input today."""
    found = node.attributes.get("axes")
    if found is None:
        given = walk.optional(node, 1, "its axes")
        if given is None or given.size == 0:
            return None
        found = tuple(int(n) for n in given.reshape(-1))
    if not isinstance(found, tuple):
        refuse(node, f"axes are {found!r}", "export the network again")
    axes = sorted(int(n) % rank for n in found if isinstance(n, int) and -rank <= n < rank)
    if len(set(axes)) != len(found):
        refuse(node, f"axes are {found!r} of {rank}", "export the network again")
    return axes


def squeeze(walk: Walk, node: OnnxNode) -> None:
    """Squeeze and Unsqueeze."""
    shape = list(walk.shape(walk.signal(node)))
    if node.op == "Unsqueeze":
        count = node.attributes.get("axes")
        extra = len(count) if isinstance(count, tuple) else walk.constant(node, 1, "its axes").size
        for axis in _axes(walk, node, len(shape) + extra) or []:
            shape.insert(axis, 1)
    else:
        axes = _axes(walk, node, len(shape))
        drop = [a for a, n in enumerate(shape) if n == 1 and a > 0] if axes is None else axes
        if any(shape[a] != 1 for a in drop):
            refuse(node, f"axes {drop} of {tuple(shape)} are not of length 1", "export the network again")
        shape = [n for a, n in enumerate(shape) if a not in drop]
    reshape_to(walk, node, tuple(shape))


def transpose(walk: Walk, node: OnnxNode) -> None:
    """Another order of axes is another name for the same tensor, until something needs it moved."""
    signal = settled(walk, node, node.inputs[0])
    rank = len(signal.order) + 1
    perm = integers(node, "perm", tuple(reversed(range(rank))))
    if sorted(perm) != list(range(rank)) or perm[0] != 0:
        refuse(node, f"perm is {perm}", _BATCH)
    walk.set(node, replace(signal, order=tuple(perm.index(axis) for axis in signal.order)))


def concat(walk: Walk, node: OnnxNode) -> None:
    """Tensors side by side; each channel keeps its scale."""
    for name in node.inputs:
        if name not in walk.signals:
            refuse(node, f"its input {name!r} is a constant", "join tensors of the network only")
    signals = [settled(walk, node, name) for name in node.inputs]
    rank = len(signals[0].order) + 1
    axis = integer(node, "axis", 1) % rank
    if axis == 0:
        refuse(node, "it joins frames", _BATCH)
    order = (*(a for a in range(1, rank) if a != axis), axis)
    if signals[0].order[-1] == axis:
        order = signals[0].order
    signals = [walk.reorder(signal, order) for signal in signals]
    shapes = {walk.build.tensor(signal.at).shape[:-1] for signal in signals}
    if len(shapes) != 1:
        refuse(
            node,
            f"tensors of shapes {[walk.shape(s) for s in signals]}",
            "they may differ along the axis only",
        )
    if len(signals) == 1:
        walk.set(node, signals[0])
        return
    one = all(s.uniform and s.scale[0] == signals[0].scale[0] for s in signals)
    at = walk.build.concat(walk.fresh("concat"), [s.at for s in signals])
    scales = [np.broadcast_to(s.scale, (walk.channels(s),)) for s in signals]
    scale = signals[0].scale[:1] if one else np.concatenate(scales)
    frac = walk.build.tensor(at).type.frac
    noise = max(s.noise * 2.0 ** (frac - walk.build.tensor(s.at).type.frac) for s in signals)
    made = Signal(at, order, scale, noise)
    if not made.uniform and len(signals) > 1 and all(s.uniform for s in signals):
        made = _shared(walk, node, signals, made)
    walk.set(node, made)


def _shared(walk: Walk, node: OnnxNode, signals: list[Signal], made: Signal) -> Signal:
    """Scales that are powers of two apart become one."""
    ratios = [float(s.scale[0] / signals[0].scale[0]) for s in signals]
    if any(math.frexp(ratio)[0] != 0.5 for ratio in ratios):
        return made
    parts = common_scale(walk, node, signals)
    at = walk.build.concat(walk.fresh("concat"), [s.at for s in parts])
    return replace(made, at=at, scale=parts[0].scale[:1])


def cut(walk: Walk, node: OnnxNode) -> None:
    """Slice, in steps of one."""
    signal = settled(walk, node, node.inputs[0])
    shape = walk.shape(signal)
    names = ("starts", "ends", "axes", "steps")
    given: dict[str, list[int]] = {}
    for at, name in enumerate(names, start=1):
        value = node.attributes.get(name)
        array = None if value is not None else walk.optional(node, at, f"its {name}")
        if isinstance(value, tuple):
            given[name] = [int(v) for v in value]
        elif array is not None:
            given[name] = [int(v) for v in array.reshape(-1)]
    starts, ends = given.get("starts", []), given.get("ends", [])
    axes = given.get("axes", list(range(len(starts))))
    if any(step != 1 for step in given.get("steps", [])) or not len(starts) == len(ends) == len(axes):
        refuse(node, "it takes every other element, or turns an axis round", "slice in steps of 1")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        length = shape[axis % len(shape)]
        first, last, _ = slice(start, end).indices(length)
        signal = sliced(walk, node, signal, axis % len(shape), first, last)
    walk.set(node, signal)


def sliced(walk: Walk, node: OnnxNode, signal: Signal, axis: int, first: int, last: int) -> Signal:
    """Elements `first` … `last` - 1 of an axis of the file's tensor."""
    length = walk.shape(signal)[axis]
    if (first, last) == (0, length):
        return signal
    if axis == 0 or last <= first:
        refuse(node, f"elements {first} to {last} of axis {axis}", _BATCH)
    stored = signal.order.index(axis)
    at = walk.build.slice(walk.fresh("slice"), signal.at, stored, first, last)
    scale = signal.scale
    if len(scale) > 1 and stored == len(signal.order) - 1:
        scale = scale[first:last]
    return replace(signal, at=at, scale=scale)


def split_axis(walk: Walk, node: OnnxNode) -> None:
    """Split into parts, each a slice."""
    signal = settled(walk, node, node.inputs[0])
    shape = walk.shape(signal)
    axis = integer(node, "axis", 0) % len(shape)
    sizes = node.attributes.get("split")
    given = None if sizes is not None else walk.optional(node, 1, "its sizes")
    count = len(node.outputs)
    if isinstance(sizes, tuple):
        parts = [int(n) for n in sizes]
    elif given is not None:
        parts = [int(n) for n in given.reshape(-1)]
    else:
        each = -(-shape[axis] // count)
        parts = [min(each, shape[axis] - each * at) for at in range(count)]
    if len(parts) != count or sum(parts) != shape[axis] or min(parts) < 1:
        refuse(node, f"{shape[axis]} elements in parts of {parts}", "export the network again")
    start = 0
    for index, size in enumerate(parts):
        walk.set(node, sliced(walk, node, signal, axis, start, start + size), index)
        start += size


def pad(walk: Walk, node: OnnxNode) -> None:
    """Zeros round rows and columns: an identity convolution with that padding, one for each channel."""
    signal = settled(walk, node, node.inputs[0])
    rank = len(signal.order) + 1
    if node.attributes.get("mode", "constant") != "constant":
        refuse(node, f"mode {node.attributes['mode']!r}", "pad with zeros")
    pads = node.attributes.get("pads")
    if pads is None:
        pads = tuple(int(n) for n in walk.constant(node, 1, "its padding").reshape(-1))
    value = node.attributes.get("value", 0.0)
    given = walk.optional(node, 2, "its value")
    if (given is not None and given.any()) or value != 0.0:
        refuse(node, "it pads with other numbers than zero", "pad with zeros")
    if walk.optional(node, 3, "its axes") is not None or not isinstance(pads, tuple) or len(pads) != 2 * rank:
        refuse(node, f"pads are {pads!r}", "give two numbers for each axis")
    whole = [int(n) for n in pads]
    if any(whole[a] or whole[a + rank] for a in (0, 1)) or min(whole) < 0:
        refuse(node, f"pads are {tuple(whole)}", "pad rows and columns only, and cut with Slice")
    if not any(whole):
        walk.set(node, signal)
        return
    if rank not in (3, 4):
        refuse(node, f"a tensor of {rank} axes", "pad (1, channels, rows, columns)")
    from dwell.hls.frontends.qonnx.linear import framed, unframed

    signal = walk.reorder(signal, (*range(2, rank), 1))
    channels = walk.channels(signal)
    top, left, bottom, right = (0, whole[2], 0, whole[5]) if rank == 3 else (*whole[2:4], *whole[6:8])
    at = walk.build.conv2d(
        walk.fresh("pad"),
        framed(walk, signal),
        np.ones((1, 1, 1, channels), dtype=np.int64),
        0,
        np.zeros(channels, dtype=np.int64),
        walk.build.tensor(signal.at).type.frac,
        padding=(top, bottom, left, right),
        groups=channels,
    )
    walk.set(node, replace(signal, at=unframed(walk, at, rank - 2)))


def upsample(walk: Walk, node: OnnxNode) -> None:
    """Upsample and Resize: each pixel repeated a whole number of times."""
    signal = settled(walk, node, node.inputs[0])
    shape = walk.shape(signal)
    mode = node.attributes.get("mode", "nearest")
    if mode != "nearest":
        refuse(node, f"mode {mode!r}", "use mode nearest, with a whole factor")
    if len(shape) != 4:
        refuse(node, f"a tensor of {len(shape)} axes", "upsample (1, channels, rows, columns)")
    place = 1 if node.op == "Upsample" else 2
    scales = node.attributes.get("scales")
    given = None if scales is not None else walk.optional(node, place, "its scales")
    sizes = walk.optional(node, 3, "its sizes") if node.op == "Resize" else None
    if isinstance(scales, tuple):
        factors = [float(n) for n in scales]
    elif given is not None and given.size:
        factors = [float(n) for n in given.reshape(-1)]
    elif sizes is not None:
        factors = [float(n) / have for n, have in zip(sizes.reshape(-1), shape, strict=False)]
    else:
        factors = []
    if len(factors) != 4 or factors[:2] != [1.0, 1.0] or any(f % 1 or f < 1 for f in factors):
        refuse(node, f"factors {factors}", "repeat rows and columns a whole number of times")
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    nearest = node.attributes.get("nearest_mode", "round_prefer_floor")
    if node.op == "Resize" and (coordinates, nearest) not in _REPEATING:
        refuse(
            node,
            f"coordinates {coordinates!r} with rounding {nearest!r}",
            "use coordinate_transformation_mode asymmetric with nearest_mode floor",
        )
    signal = walk.reorder(signal, (2, 3, 1))
    at = walk.build.upsample(walk.fresh("upsample"), signal.at, (int(factors[2]), int(factors[3])))
    walk.set(node, replace(signal, at=at))


#: Ways of Resize to choose the nearest pixel that, at whole factors, repeat each one.
_REPEATING = (
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"),
    ("pytorch_half_pixel", "round_prefer_ceil"),
)
