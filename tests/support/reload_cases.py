"""Pairs of networks of one structure, and what frames give that meet a swap of their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from reload_bench import ReloadRun, Step
from rtl_frames import tensor_beats
from rtl_streams import Beat, frame_beats, unpacked

from dwell.hls.design import Design
from dwell.hls.qmodel import Conv2D, Dense, FixedPoint, Overflow, QModel, Rounding, Table, run_codes
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.reload import Write, control_address, plan_writes

Codes = npt.NDArray[np.int64]


def rebuilt(model: QModel, change: Callable[[Conv2D | Dense | Table], Conv2D | Dense | Table]) -> QModel:
    """The network with some nodes changed; sums and what follows them get the types that they then need."""
    build = Builder()
    for node in model.nodes:
        if isinstance(node, Conv2D | Dense | Table):
            node = change(node)
        if type(node).__name__ == "Input":
            tensor = model.tensors[node.output]
            build.input(node.name, tensor.shape, tensor.type, node.rounding, node.overflow)
        else:
            kind = model.tensors[node.output].type if type(node).__name__ in ("Cast", "Table") else None
            build.append(node, kind)
    return build.finish(model.name, model.output)


def other_weights(model: QModel, seed: int) -> QModel:
    """The same network with all weights, biases and steps drawn again."""
    rng = np.random.default_rng(seed)

    def drawn(node: Conv2D | Dense | Table) -> Conv2D | Dense | Table:
        if isinstance(node, Table):
            moved = np.sort(node.breaks + rng.integers(-9, 10, node.breaks.shape), axis=1)
            return replace(node, breaks=moved)
        kind = node.weight_type
        weight = rng.integers(kind.lo, kind.hi + 1, node.weight.shape)
        return replace(node, weight=weight, bias=rng.permutation(node.bias))

    return rebuilt(model, drawn)


def chain_model(seed: int = 2) -> QModel:
    """Two convolutions; the score is cast, so that any weights fit its type."""
    family = RandomFamily(kernels=(3, 2), channels=(3, 1), input_width=6, per_channel=False)
    return random_conv_model(seed, family)


def sequence_model(seed: int = 1) -> QModel:
    """A frame of three vectors through two dense layers, the second with a table for each channel."""
    rng = np.random.default_rng(seed)
    build = Builder()
    at = build.input("x", (3, 8), FixedPoint(True, 5, 2))
    kind = FixedPoint(True, 4, 2)
    at = build.dense(
        "first", at, rng.integers(-8, 8, (8, 6)), 2, rng.integers(-30, 31, 6), 4, weight_type=kind
    )
    breaks = np.sort(rng.integers(-60, 61, (6, 3)), axis=1)
    levels = np.tile(np.arange(-1, 3), (6, 1))
    at = build.table("steps", at, breaks, levels, 0, kind=FixedPoint(True, 3, 0))
    at = build.dense(
        "second", at, rng.integers(-8, 8, (6, 4)), 2, rng.integers(-9, 10, 4), 2, weight_type=kind
    )
    top = FixedPoint(True, 12, build.tensor(at).type.frac)
    at = build.cast("out", at, [top], Rounding.TRN, Overflow.SAT)
    return build.finish("sequence", at)


def frame_model(seed: int = 1) -> QModel:
    """Frames of a fixed size: a convolution with padding, one with stride."""
    rng = np.random.default_rng(seed)
    build = Builder()
    kind = FixedPoint(True, 4, 2)
    at = build.input("x", (5, 6, 2), FixedPoint(True, 5, 2))
    weight = rng.integers(-8, 8, (3, 3, 2, 4))
    at = build.conv2d(
        "first", at, weight, 2, rng.integers(-9, 10, 4), 3, weight_type=kind, padding=(1, 1, 1, 1)
    )
    at = build.cast("q", build.relu("r", at), [FixedPoint(False, 4, 1)], Rounding.RND, Overflow.SAT)
    weight = rng.integers(-8, 8, (3, 3, 4, 3))
    at = build.conv2d("second", at, weight, 2, rng.integers(-9, 10, 3), 3, weight_type=kind, stride=(2, 2))
    at = build.cast("out", at, [FixedPoint(True, 10, 0)], Rounding.RND, Overflow.SAT)
    return build.finish("frames", at)


def swap_script(writes: Sequence[Write], control: int, bank: int, start: int, pause: int) -> list[Step]:
    """Wait for frame `start`, write, wait `pause` clocks, select: the last step."""
    return [
        ("frames", start),
        *(("write", address, word) for address, word in writes),
        ("idle", pause + 1),
        ("write", control, bank),
    ]


def frames_of(design: Design, count: int, seed: int, size: tuple[int, int] = (7, 9)) -> list[Codes]:
    """Random frames."""
    kind, shape = design.input.type, design.input.shape
    whole = (*size, shape[-1]) if design.max_width else shape
    rng = np.random.default_rng(seed)
    return list(rng.integers(kind.lo, kind.hi + 1, (count, *whole)))


def beats_of(design: Design, frames: Sequence[Codes]) -> list[Beat]:
    """Frames as beats of the design's input."""
    if design.max_width:
        return [beat for frame in frames for beat in frame_beats(frame, design.input.type.width)]
    return [beat for frame in frames for beat in tensor_beats(design, frame)]


def results_of(design: Design, run: ReloadRun) -> list[Codes]:
    """The codes of each frame's results; a frame begins with TUSER."""
    port, out = design.output, []
    for user, _, word in run.data:
        if user:
            out.append([])
        out[-1].append(unpacked(word, port.type.width, port.type.signed, port.elements))
    return [np.array(frame, dtype=np.int64).ravel() for frame in out]


def which(got: Codes, frame: Codes, models: Sequence[QModel]) -> int:
    """Which of `models` gave the result of a frame: -1 for none of them, or a mixture."""
    for number, model in enumerate(models):
        if np.array_equal(got, run_codes(model, frame[None])[0].ravel()):
            return number
    return -1


def swaps(design: Design, models: Sequence[QModel], every: int, pause: int = 0) -> list[Step]:
    """Bring each model after the first into the bank that is free, `every` frames after the one before."""
    script: list[Step] = []
    for number, model in enumerate(models[1:], start=1):
        bank = number % 2
        writes = plan_writes(design, model, bank)
        script += swap_script(writes, control_address(design), bank, number * every, pause)
    return script
