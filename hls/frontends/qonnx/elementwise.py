"""Operators that treat each element by itself, and those that join two tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dwell.hls.frontends.dyadic import power_of_two
from dwell.hls.frontends.onnx_file import Array, OnnxNode
from dwell.hls.frontends.qonnx.exact import InexactError, lower
from dwell.hls.frontends.qonnx.signals import FLOAT32_BITS, ULP, Apply, Signal, Walk, integer, number, refuse
from dwell.hls.qmodel import MAX_WIDTH

_QUANTIZE = "quantize the result (a Quant node behind it), or use a layer that is exact on integers"

#: Operators on one tensor, with the attributes they may have.
UNARY = ("Relu", "LeakyRelu", "PRelu", "Clip", "HardSigmoid", "Sigmoid", "Tanh", "BatchNormalization", "Neg")
#: Operators on one tensor and a constant, or on two tensors.
BINARY = ("Add", "Sub", "Mul", "Div")


def settled(walk: Walk, node: OnnxNode, name: str) -> Signal:
    """An input of `node` as integers, its float operators made integer nodes. Refuses those that are not exact."""
    if name not in walk.signals:
        refuse(node, f"its input {name!r} is a constant", "fold constants before export (qonnx-cleanup)")
    signal = walk.signals[name]
    try:
        return lower(walk, signal, key=name)
    except InexactError as error:
        refuse(
            node,
            f"no quantizer stands between it and {error.node.label!r} ({error.node.op}), "
            f"which has no exact form on integers: {error.reason}",
            "quantize the activations before this layer",
        )


def synthetic(walk: Walk, node: OnnxNode, signal: Signal, op: str, values: Array) -> Signal:
    """The signal with a float operator behind it that the file holds inside another node."""
    from onnx import helper

    name = walk.fresh(f"{node.outputs[0]}/{op}")
    walk.constants[name] = values
    entry, result = f"{name}/in", f"{name}/out"
    proto = helper.make_node(op, [entry, name], [result], name=node.label)
    made = OnnxNode(node.label, op, "", (entry, name), (result,), {}, proto)
    return replace(signal, expr=Apply(made, (signal.expr, name)))


def unary(walk: Walk, node: OnnxNode) -> None:
    """A float operator on each element, its constants one for each channel."""
    signal = walk.signal(node)
    check_attributes(node)
    for index in range(1, len(node.inputs)):
        walk.optional(node, index, f"its input {index}")
    if node.op == "BatchNormalization":
        rank = len(signal.order)
        if signal.order[-1] != 1 and rank > 1:
            signal = walk.reorder(settled(walk, node, node.inputs[0]), (*range(2, rank + 1), 1))
        lengths = {walk.constants[name].size for name in node.inputs[1:]}
        if lengths != {walk.channels(signal)}:
            refuse(
                node,
                f"constants for {lengths} channels, there are {walk.channels(signal)}",
                "export it again",
            )
        if (walk.constants[node.inputs[4]] < 0).any():
            refuse(node, "a negative variance", "export the network again")
    else:
        _check_constants(walk, node, signal)
    arguments = tuple(None if at == 0 else name for at, name in enumerate(node.inputs))
    walk.set(node, replace(signal, expr=Apply(node, (signal.expr, *arguments[1:]))))


def check_attributes(node: OnnxNode) -> None:
    """Attributes of float operators whose other values would mean another operator."""
    if node.op == "BatchNormalization" and (
        integer(node, "training_mode", 0) or not integer(node, "spatial", 1) or len(node.inputs) != 5
    ):
        refuse(node, "it is in training mode", "call .eval() before export")
    for key in ("alpha", "beta", "epsilon"):
        if key in node.attributes:
            number(node, key, 0.0)


def _check_constants(walk: Walk, node: OnnxNode, signal: Signal) -> None:
    for name in node.inputs[1:]:
        if name and walk.per_channel(signal, walk.constants[name]) is None:
            refuse(
                node,
                f"a constant of shape {walk.constants[name].shape} on {walk.shape(signal)}",
                "constants may differ from channel to channel, not from pixel to pixel",
            )


def binary(walk: Walk, node: OnnxNode) -> None:
    """Add, Sub, Mul, Div of a tensor and a constant, or of two tensors."""
    moving = walk.moving(node)
    if len(node.inputs) != 2:
        refuse(node, f"it has {len(node.inputs)} inputs", "export the network again")
    if len(moving) == 2:
        _two(walk, node)
        return
    constant = next(name for name in node.inputs if name not in walk.signals)
    signal = walk.signals[moving[0]]
    values = walk.constants[constant]
    if values.ndim > len(signal.order) + 1 or walk.per_channel(signal, values) is None:
        refuse(
            node,
            f"a constant of shape {values.shape} on {walk.shape(signal)}",
            "constants may differ from channel to channel, not from pixel to pixel",
        )
    if node.op == "Div" and node.inputs[0] == constant:
        refuse(node, "it divides by a tensor of the network", "divide by constants only")
    arguments = tuple(name if name == constant else signal.expr for name in node.inputs)
    walk.set(node, replace(signal, expr=Apply(node, arguments)))


def _two(walk: Walk, node: OnnxNode) -> None:
    first, second = (walk.signals[name] for name in node.inputs)
    floats = first.expr is not None or second.expr is not None
    if first.at == second.at and first.order == second.order and floats:
        # Two functions of the same codes, as in x * sigmoid(x): one function of them.
        joined = Apply(node, (first.expr, second.expr))
        walk.set(node, replace(first, expr=joined, noise=max(first.noise, second.noise)))
        return
    if node.op == "Div":
        refuse(node, "it divides one tensor of the network by another", "divide by constants only")
    one, other = (settled(walk, node, name) for name in node.inputs)
    if walk.shape(one) != walk.shape(other):
        refuse(node, f"tensors of shapes {walk.shape(one)} and {walk.shape(other)}", "use equal shapes")
    if not (one.uniform and other.uniform):
        refuse(node, "tensors with a scale for each channel", "quantize them with one scale")
    other = walk.reorder(other, one.order)
    if node.op == "Mul":
        at = walk.build.multiply(walk.fresh("multiply"), one.at, other.at)
        made = replace(one, at=at, scale=one.scale[:1] * other.scale[:1])
        walk.set(node, replace(made, noise=_product_noise(walk, one, other, made)))
        return
    if node.op == "Sub":
        other = replace(other, at=walk.build.affine(walk.fresh("negative"), other.at, [-1], 0, [0], 0))
    one, other = common_scale(walk, node, [one, other])
    at = walk.build.add(walk.fresh("add"), one.at, other.at)
    made = replace(one, at=at)
    walk.set(node, replace(made, noise=_sum_noise(walk, one, other, made)))


def common_scale(walk: Walk, node: OnnxNode, signals: list[Signal]) -> list[Signal]:
    """The same tensors with one scale, where powers of two are all that lies between theirs."""
    base = signals[0].scale[:1]
    result = []
    for signal in signals:
        exponent = power_of_two(signal.scale[:1] / base)
        if exponent is None or abs(int(exponent[0])) > MAX_WIDTH // 2:
            scales = " and ".join(
                f"{float(s.scale[0]) * 2.0 ** -walk.build.tensor(s.at).type.frac:g}" for s in signals
            )
            refuse(
                node,
                f"tensors whose codes have scales {scales}",
                "quantize both with the same scale (in Brevitas, share the quantizer of the two branches)",
            )
        if int(exponent[0]):
            shift = -int(exponent[0])
            frac = walk.build.tensor(signal.at).type.frac + shift
            at = walk.build.affine(walk.fresh("align"), signal.at, [1], shift, [0], frac)
            signal = replace(signal, at=at)
        walk.build.scaled(signal.at, float(base[0]))
        result.append(replace(signal, scale=base))
    return result


def _sum_noise(walk: Walk, one: Signal, other: Signal, made: Signal) -> float:
    """See `Signal.noise`; codes are shifted to the finer of two fractions."""
    frac = walk.build.tensor(made.at).type.frac
    parts = [
        (s.noise, walk.bound(s), 2.0 ** (frac - walk.build.tensor(s.at).type.frac)) for s in (one, other)
    ]
    most = sum(bound * up for _, bound, up in parts)
    if one.noise == other.noise == 0 and power_of_two(made.scale) is not None and most <= 2.0**FLOAT32_BITS:
        return 0.0
    return sum(noise * up for noise, _, up in parts) + 3 * ULP * most


def _product_noise(walk: Walk, one: Signal, other: Signal, made: Signal) -> float:
    most = walk.bound(one) * walk.bound(other)
    if one.noise == other.noise == 0 and power_of_two(made.scale) is not None and most <= 2.0**FLOAT32_BITS:
        return 0.0
    across = one.noise * walk.bound(other) + other.noise * walk.bound(one) + one.noise * other.noise
    return across + 4 * ULP * np.float64(most)
