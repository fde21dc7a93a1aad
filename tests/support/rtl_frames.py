"""Frames of a fixed size through a design in Icarus, any layout of beats, and what must come out."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rtl_icarus import StreamRun, run_stream
from rtl_streams import Beat, packed, unpacked

from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, run_codes

Codes = npt.NDArray[np.int64]


def tensor_beats(design: Design, frame: Codes) -> list[Beat]:
    """One tensor as the beats of the design's input."""
    port = design.input
    cells = frame.reshape(-1, port.elements)
    return [
        (n == 0, (n + 1) % port.line_beats == 0, packed(list(c), port.type.width))
        for n, c in enumerate(cells)
    ]


def run_frames(design: Design, folder: Path, frames: Sequence[Codes], **pauses: int) -> StreamRun:
    """Send whole frames through a design."""
    beats = [beat for frame in frames for beat in tensor_beats(design, frame)]
    return run_tensor_beats(design, folder, beats, **pauses)


def run_tensor_beats(design: Design, folder: Path, beats: Sequence[Beat], **pauses: int) -> StreamRun:
    """Send any beats through a design."""
    bits = (design.input.tdata_bits, design.output.tdata_bits)
    return run_stream(folder, design.sources, design.top, bits, beats, **pauses)


def check_frames(design: Design, model: QModel, run: StreamRun, frames: Codes) -> int:
    """Every code of every frame's result, every mark, and the padding. Returns how many codes were compared."""
    port = design.output
    assert not run.faults, run.faults
    wanted = run_codes(model, frames).reshape(-1, port.elements)
    assert len(run.data) == len(wanted), f"{len(run.data)} beats of {len(wanted)}"
    got = np.array([unpacked(w, port.type.width, port.type.signed, port.elements) for w in run.data])
    np.testing.assert_array_equal(got, wanted)
    number = np.arange(len(wanted))
    np.testing.assert_array_equal(run.user, number % (prod(port.shape) // port.elements) == 0)
    np.testing.assert_array_equal(run.last, (number + 1) % port.line_beats == 0)
    for word, row in zip(run.data, got, strict=True):
        top = int(row[-1]) << port.type.width * (port.elements - 1)
        low = packed(row[:-1], port.type.width)
        assert word == low | (top & ((1 << port.tdata_bits) - 1)), "padding"
    return got.size


def check_timing(design: Design, run: StreamRun) -> None:
    """Latency and interval of eight frames or more without a pause are those that the design states."""
    beats_in, beats_out = (prod(p.shape) // p.elements for p in (design.input, design.output))
    last_in, last_out = run.in_clocks[beats_in - 1 :: beats_in], run.out_clocks[beats_out - 1 :: beats_out]
    latency = int((last_out - last_in).max())
    between = np.diff(run.in_clocks[::beats_in])
    interval = int(np.ceil(between[len(between) // 2 :].mean() - 1e-9))
    if design.latency_exact:
        assert (latency, interval) == (design.latency_cycles, design.frame_cycles)
    for bound, found in ((design.latency_cycles, latency), (design.frame_cycles, interval)):
        assert found <= bound <= max(2 * found, found + 64)
