"""Designs that climb the rungs of simulation, and broken ones that must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hand_designs import BOX3, SUMS4, box3_dut, sums4_dut

from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.sim.dut import Dut

TINY = RandomFamily(kernels=(3, 2), channels=(2, 1), per_channel=False)


def broken(folder: Path, old: str, new: str, make: Callable[[Path], Dut] = box3_dut) -> Dut:
    source = {box3_dut: BOX3, sums4_dut: SUMS4}[make]
    text = source.read_text()
    assert text.count(old) >= 1
    changed = folder / source.name
    changed.write_text(text.replace(old, new))
    return make(changed)


@contextmanager
def private_cache(folder: Path) -> Iterator[Path]:
    """Simulators built meanwhile go into `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(folder))
        yield folder


def stream_design(folder: Path) -> Path:
    """A converted network of two layers, 4x4 window, 40 columns."""
    return write_design(random_conv_model(2, TINY), RtlOptions(max_width=40), folder / "design").path


def unrolled_design(folder: Path) -> Path:
    """A converted network that takes a whole 5x5 frame a beat."""
    model = random_conv_model(4, replace(TINY, frame=(5, 5)))
    return write_design(model, RtlOptions(style="unrolled"), folder / "design").path
