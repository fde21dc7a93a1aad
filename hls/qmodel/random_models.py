"""Random valid networks for property tests of interpreter and back ends.

`random_model` and the hypothesis strategy `models` make them of all nodes (`random_graphs`); what is below
makes them of the convolutional family alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.geometry import window_of
from dwell.hls.qmodel.graph import QModel
from dwell.hls.qmodel.interpret import run_codes
from dwell.hls.qmodel.random_graphs import STYLE_NODES, GraphPlan, models, random_model
from dwell.hls.qmodel.types import FixedPoint, Overflow, Rounding

__all__ = [
    "DETECTOR",
    "STYLE_NODES",
    "GraphPlan",
    "RandomFamily",
    "models",
    "random_conv_model",
    "random_model",
]


@dataclass(frozen=True)
class RandomFamily:
    """What `random_conv_model` may draw.

    `kernels` and `channels` describe the layers (the last one's channels are those of the score);
    None draws one to three layers. `frame` is (rows, columns) of the nominal frame, None for three
    more than the window.
    """

    kernels: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    input_channels: int = 1
    input_width: int = 8
    weight_width: int = 4
    activation_width: int = 4
    dilations: tuple[int, ...] = (1,)
    strides: tuple[int, ...] = (1,)
    padding: bool = False
    roundings: tuple[Rounding, ...] = tuple(Rounding)
    overflows: tuple[Overflow, ...] = tuple(Overflow)
    per_channel: bool = True
    score_cast: bool = True
    frame: tuple[int, int] | None = None


#: The shape of the vacancy detector: 11 by 11 pixels, about 1,070 weights, saturating nearest-even casts.
DETECTOR = RandomFamily(
    kernels=(5, 3, 3, 3),
    channels=(6, 8, 6, 1),
    roundings=(Rounding.RND_CONV,),
    overflows=(Overflow.SAT,),
    per_channel=False,
    score_cast=False,
    frame=(32, 32),
)

#: So that sums and biases stay within the fraction bits that a `QModel` may have.
_MAX_FRAC = 56


def random_conv_model(seed: int, family: RandomFamily | None = None) -> QModel:
    """A valid convolutional `QModel`; the same seed and family give the same network."""
    rng = np.random.default_rng(seed)
    plan = family or RandomFamily()
    layers = len(plan.kernels) if plan.kernels else int(rng.integers(1, 4))
    kernels = plan.kernels or tuple(int(k) for k in rng.integers(1, 4, layers))
    channels = plan.channels or (*(int(c) for c in rng.integers(1, 6, layers - 1)), 1)
    dilations = [int(rng.choice(plan.dilations)) for _ in range(layers)]
    strides = [int(rng.choice(plan.strides)) for _ in range(layers)]
    side, step = 1, 1
    for kernel, dilation, stride in zip(kernels, dilations, strides, strict=True):
        side, step = side + (kernel - 1) * dilation * step, step * stride
    rows, columns = plan.frame or (side + 3, side + 3)
    build = Builder()
    kind = FixedPoint(False, plan.input_width, plan.input_width)
    rounding, overflow = rng.choice(list(plan.roundings)), rng.choice(list(plan.overflows))
    at = build.input(
        "pixels", (rows, columns, plan.input_channels), kind, Rounding(rounding), Overflow(overflow)
    )
    quantizers = [("input", at)]
    for index, (kernel, dilation, stride) in enumerate(zip(kernels, dilations, strides, strict=True)):
        at = _layer(build, rng, plan, f"conv{index + 1}", at, (kernel, channels[index]), dilation, stride)
        if index < layers - 1:
            at = build.relu(f"relu{index + 1}", at)
        if index < layers - 1 or plan.score_cast:
            at = _cast(build, rng, plan, f"act{index + 1}", at, signed=index == layers - 1)
            quantizers.append((f"quant{index + 1}", at))
    return build.finish(f"random{seed}", at, quantizers)


def _layer(
    build: Builder,
    rng: np.random.Generator,
    plan: RandomFamily,
    name: str,
    source: str,
    size: tuple[int, int],
    dilation: int,
    stride: int,
) -> str:
    kernel, cout = size
    cin = build.tensor(source).shape[-1]
    before = build.tensor(source).type
    kind = FixedPoint(
        True,
        plan.weight_width,
        int(rng.integers(0, max(1, min(plan.weight_width + 2, _MAX_FRAC - before.frac)))),
    )
    weight = rng.integers(kind.lo, kind.hi + 1, (kernel, kernel, cin, cout))
    weight[rng.random(weight.shape) < 0.2] = 0
    reach = 1 << (
        plan.weight_width + before.width - 2
    )  # of the order of one product, so that no channel dies
    bias = rng.integers(-reach, reach, cout)
    bias_frac = kind.frac + before.frac + int(rng.integers(-1, 2))
    edge = (kernel - 1) * dilation
    pads = [int(p) for p in rng.integers(0, edge + 1, 4)] if plan.padding else [0, 0, 0, 0]
    return build.conv2d(
        name,
        source,
        weight,
        kind.frac,
        bias,
        bias_frac,
        weight_type=kind,
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=(pads[0], pads[1], pads[2], pads[3]),
    )


def _cast(
    build: Builder, rng: np.random.Generator, plan: RandomFamily, name: str, source: str, *, signed: bool
) -> str:
    """A cast scaled to codes that random frames do reach, so that both rounding and overflow happen."""
    before = build.tensor(source)
    width = plan.activation_width + int(signed)
    so_far = build.finish("part", source)
    entry = so_far.tensors[so_far.input]
    shape = (4, *window_of(so_far), entry.shape[-1])
    reached = run_codes(so_far, rng.integers(entry.type.lo, entry.type.hi + 1, shape))
    used = int(np.abs(reached).max()).bit_length() + int(signed)
    frac = min(before.type.frac - used + width + int(rng.integers(-1, 2)), _MAX_FRAC)
    kind = FixedPoint(signed, width, frac)
    types = [kind]
    if plan.per_channel and rng.random() < 0.5:
        types = [
            replace(kind, width=int(rng.integers(0, width + 1)), frac=kind.frac + int(rng.integers(-1, 2)))
            for _ in range(before.shape[-1])
        ]
    rounding, overflow = rng.choice(list(plan.roundings)), rng.choice(list(plan.overflows))
    return build.cast(name, source, types, Rounding(rounding), Overflow(overflow))
