"""Designs and overlays for the tests of boards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.firmware.package.build import package_design
from dwell.hls.design import Design
from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding, run_codes
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design

Codes = npt.NDArray[np.int64]

SMALL = RandomFamily(
    kernels=(3, 2), channels=(2, 1), per_channel=False,
    roundings=(Rounding.RND_CONV,), overflows=(Overflow.SAT,),
)  # fmt: skip


def small_design(folder: Path, *, max_width: int = 64) -> Design:
    """A network with a window of 4 x 4 pixels."""
    return write_design(random_conv_model(5, SMALL), RtlOptions(max_width=max_width), folder)


def detector_design(folder: Path) -> Design:
    """A network of the vacancy detector's shape, with random weights."""
    return write_design(random_conv_model(0, DETECTOR), RtlOptions(), folder)


def vector_model(classes: int = 5, *, seed: int = 3) -> QModel:
    """Six signed values to signed scores, two layers."""
    random = np.random.default_rng(seed)
    builder = Builder()
    hidden = builder.input("x", (6,), FixedPoint(True, 5, 2))
    for name, units in (("first", 7), ("second", classes)):
        kind = FixedPoint(name == "second", 9, 2)
        shape = (builder.tensor(hidden).shape[0], units)
        weight, bias = random.integers(-3, 4, shape), random.integers(-9, 10, units)
        wide = builder.dense(name, hidden, weight, 1, bias, 3)
        hidden = builder.cast(f"{name}_cast", wide, [kind], Rounding.RND, Overflow.SAT)
    return builder.finish("vector", hidden)


def map_model(*, seed: int = 4) -> QModel:
    """Frames of 9 x 12 x 2 to maps of 4 x 5 x 3, unsigned; black frames give nothing but zeros."""
    random = np.random.default_rng(seed)
    builder = Builder()
    source = builder.input("x", (9, 12, 2), FixedPoint(False, 6, 6))
    weight = random.integers(-3, 4, (3, 3, 2, 3))
    wide = builder.conv2d("conv", source, weight, 1, -random.integers(1, 9, 3), 7, stride=(2, 2))
    return builder.finish("map", builder.relu("relu", wide))


def vector_design(folder: Path, *, classes: int = 5, options: RtlOptions | None = None) -> Design:
    """A decision a frame; unless `options` say otherwise, a whole frame and a whole decision a beat."""
    return write_design(vector_model(classes), options or RtlOptions(style="unrolled"), folder)


def folded_vector_design(folder: Path) -> Design:
    """A decision of 14 classes a frame, in seven beats."""
    return vector_design(folder, classes=14, options=RtlOptions(style="folded", reuse=7))


def map_design(folder: Path) -> Design:
    """Frames of fixed size, a pixel a beat; decisions of three unsigned codes, many of them equal."""
    return write_design(map_model(), RtlOptions(style="stream"), folder)


def overlay_of(design: Design, folder: Path) -> Path:
    """The overlay of a design for the PYNQ-Z2."""
    return package_design(design, "pynq-z2", folder).path


def scores_of(model: QModel, pixels: npt.NDArray[np.uint8]) -> Codes:
    """The golden scores of a frame of codes (H, W)."""
    return run_codes(model, pixels.astype(np.int64)[None, :, :, None])[0, ..., 0]


def triggers_of(scores: Codes, threshold: int, dead_time: int) -> list[tuple[int, int, int]]:
    """(line, pixel, score) of the decisions that trigger, told decision by decision."""
    found, quiet = [], 0
    for (line, pixel), score in np.ndenumerate(scores):
        if quiet:
            quiet -= 1
        elif score >= threshold:
            found.append((line, pixel, int(score)))
            quiet = dead_time
    return found


def decisions_that_trigger(
    decisions: Codes, threshold: int, dead_time: int, select: int = 0, class_trigger: bool = False
) -> list[tuple[int, int, int]]:
    """As `triggers_of`, of a frame of decisions of many codes (*places, codes)."""
    places, found, quiet = decisions.shape[:-1], [], 0
    width = places[-1] if places else 1
    for at, codes in enumerate(decisions.reshape(-1, decisions.shape[-1]).tolist()):
        score = codes[select]
        if quiet:
            quiet -= 1
        elif score >= threshold and (not class_trigger or codes.index(max(codes)) == select):
            found.append((at // width, at % width, score))
            quiet = dead_time
    return found
