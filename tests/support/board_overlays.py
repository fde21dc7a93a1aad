"""Designs and overlays for the tests of boards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.firmware.package.build import package_design
from dwell.hls.design import Design
from dwell.hls.qmodel import Overflow, QModel, Rounding
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


def overlay_of(design: Design, folder: Path) -> Path:
    """The overlay of a design for the PYNQ-Z2."""
    return package_design(design, "pynq-z2", folder).path


def scores_of(model: QModel, pixels: npt.NDArray[np.uint8]) -> Codes:
    """The golden scores of a frame of codes (H, W)."""
    return model.run_codes(pixels.astype(np.int64)[None, :, :, None])[0, ..., 0]


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
