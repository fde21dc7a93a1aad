"""What comes out of a design: logits, the class, or probabilities. Any front end's graph will do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from dwell.errors import ConfigError, nearest
from dwell.hls.qmodel import (
    MAX_WIDTH,
    Affine,
    Cast,
    FixedPoint,
    Overflow,
    QModel,
    Rounding,
    Softmax,
    Tensor,
    TopK,
    checked,
    value_range,
)
from dwell.hls.qmodel.graph import Node

OUTPUTS = ("logits", "class", "probabilities")

#: Fraction bits of probabilities, and of the logits that the table of exponentials is read with.
_PROBABILITY_BITS = 12
_LOGIT_BITS = 8
#: Bits to which the scales of classes are compared.
_FACTOR_BITS = 16
#: Bits of an exponential.
_EXPONENTIAL_BITS = 16


def with_output(model: QModel, output: str) -> QModel:
    """`model` with its output made what `output` asks for; the notes say what was added, and its error.

    Raises `ConfigError` where the logits cannot be compared as integers.
    """
    if output not in OUTPUTS:
        raise ConfigError(f"output {output!r} is not known", hint=nearest(output, OUTPUTS), place="--output")
    if output == "logits":
        return model
    logits = model.tensors[model.output]
    if any(isinstance(node, TopK) for node in model.nodes):
        raise ConfigError("the network gives a class already", hint="leave --output out", place="--output")
    if logits.shape[-1] < 2:
        raise ConfigError(
            "there is one output, and so no class", hint="use --output logits", place="--output"
        )
    if isinstance(logits.scale, tuple) or isinstance(logits.offset, tuple):
        model = _one_scale(model)
    return _class(model) if output == "class" else _probabilities(model)


def _one_scale(model: QModel) -> QModel:
    """Classes that have a scale or an offset each, brought to one so that they can be compared."""
    logits = model.tensors[model.output]
    classes, frac = logits.shape[-1], logits.type.frac
    steps = np.broadcast_to(np.ldexp(np.asarray(logits.scale, dtype=np.float64), -frac), (classes,))
    offsets = np.broadcast_to(np.asarray(logits.offset, dtype=np.float64), (classes,))
    unit = float(steps.min()) * 2.0**-_FACTOR_BITS
    weight, bias = np.rint(steps / unit), np.rint(offsets / unit)
    low, high = value_range(model, model.output)
    sizes = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    if np.max(sizes * weight + np.abs(bias)) >= 2.0 ** (MAX_WIDTH - 2):
        raise ConfigError(
            "the scales of the classes are too far apart to compare their codes",
            hint="use --output logits, and apply the scales of design.json",
            place="--output",
        )
    error = float(np.max(sizes * np.abs(steps - weight * unit) + np.abs(offsets - bias * unit)))
    codes, shifts = weight.astype(np.int64), bias.astype(np.int64)
    factor = FixedPoint.holding(int(codes.min()), int(codes.max()), 0)
    node = Affine("rescaled", (model.output,), "rescaled", codes, factor, shifts, frac)
    ends = [low * codes + shifts, high * codes + shifts]
    kind = FixedPoint.holding(int(np.min(ends)), int(np.max(ends)), frac)
    tensor = Tensor("rescaled", logits.shape, kind, scale=unit * 2.0**frac)
    return _grown(
        model, [(node, tensor)], f"output: each class brought to one scale, within {error:.2g} of its logit"
    )


def _class(model: QModel) -> QModel:
    logits = model.tensors[model.output]
    bits = max(1, (logits.shape[-1] - 1).bit_length())
    node = TopK("class", (model.output,), "class")
    tensor = Tensor("class", (*logits.shape[:-1], 1), FixedPoint(False, bits, 0))
    return _grown(model, [(node, tensor)], "output: the class, the first of the largest logits")


def _probabilities(model: QModel) -> QModel:
    logits = model.tensors[model.output]
    scale = float(np.max(logits.scale))
    added: list[tuple[Node, Tensor]] = []
    entry, error = logits, 0.0
    # Codes are kept to a step of at most 2**-_LOGIT_BITS, so that the table stays short.
    coarse = logits.type.frac - _LOGIT_BITS - math.floor(math.log2(scale))
    if coarse > 0:
        kind = FixedPoint(
            logits.type.signed, max(2, logits.type.width - coarse + 1), logits.type.frac - coarse
        )
        entry = replace(logits, name="logits", type=kind)
        added.append((Cast("logits", (model.output,), "logits", (kind,), Rounding.RND, Overflow.SAT), entry))
        error += 0.5 * kind.step * scale / 2  # softmax moves by at most half of what a logit does
    step = entry.type.step * scale
    top = (1 << _EXPONENTIAL_BITS) - 1
    count = math.ceil(math.log(2 * top) / step) + 1
    if count > 1 << 14:
        raise ConfigError(
            f"the logits step by {step:g}: too fine for a table of exponentials", hint="use --output logits"
        )
    table = np.rint(top * np.exp(-step * np.arange(count))).astype(np.int64)
    classes = logits.shape[-1]
    error += (classes + 1) * 0.5 / top + 2.0**-_PROBABILITY_BITS
    node = Softmax("probabilities", (entry.name,), "probabilities", table, _PROBABILITY_BITS)
    kind = FixedPoint(False, _PROBABILITY_BITS, _PROBABILITY_BITS)
    added.append((node, Tensor("probabilities", logits.shape, kind)))
    note = f"output: softmax by a table of {count} exponentials, within {error:.2g} of the real one"
    return _grown(model, added, note)


def _grown(model: QModel, added: list[tuple[Node, Any]], note: str) -> QModel:
    tensors = {**model.tensors, **{tensor.name: tensor for _, tensor in added}}
    nodes = (*model.nodes, *(node for node, _ in added))
    notes = (*model.notes, note)
    return checked(
        QModel(model.name, nodes, tensors, model.input, added[-1][1].name, model.quantizers, notes)
    )
