"""Frames and samples as beats for a design, and what the golden model says must come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rtl_icarus import StreamRun, run_stream

from dwell.hls.design import Design
from dwell.hls.qmodel import QModel, run_codes

Codes = npt.NDArray[np.int64]
Beat = tuple[bool, bool, int]


def packed(codes: Sequence[int], width: int) -> int:
    """Codes in one number, `width` bits each, the first lowest."""
    word = 0
    for place, code in enumerate(codes):
        word |= (int(code) & ((1 << width) - 1)) << (place * width)
    return word


def unpacked(word: int, width: int, signed: bool, count: int) -> list[int]:
    """The codes in a number."""
    codes = [(word >> (place * width)) & ((1 << width) - 1) for place in range(count)]
    return [code - (1 << width) if signed and code >> (width - 1) else code for code in codes]


def frame_beats(frame: Codes, width: int) -> list[Beat]:
    """A frame (H, W, C) as beats, a pixel each."""
    rows, columns = frame.shape[:2]
    return [
        (y == 0 and x == 0, x == columns - 1, packed(frame[y, x], width))
        for y in range(rows)
        for x in range(columns)
    ]


def expect_frames(design: Design, model: QModel, frames: Sequence[Codes]) -> tuple[Codes, Codes]:
    """Decisions (N, C) and their marks (N, 2: first of frame, last of line)."""
    codes, marks = [], []
    for frame in frames:
        out = run_codes(model, frame[None])[0]
        mark = np.zeros((*out.shape[:2], 2), dtype=np.int64)
        mark[0, 0, 0] = 1
        mark[:, -1, 1] = 1
        codes.append(out.reshape(-1, out.shape[-1]))
        marks.append(mark.reshape(-1, 2))
    return np.concatenate(codes), np.concatenate(marks)


def run_beats(design: Design, folder: Path, beats: Sequence[Beat], **pauses: int) -> StreamRun:
    """Send beats through a design."""
    bits = (design.input.tdata_bits, design.output.tdata_bits)
    return run_stream(folder, design.sources, design.top, bits, beats, **pauses)


def decisions(design: Design, run: StreamRun) -> tuple[Codes, Codes]:
    """What came out, in the form of `expect_frames`; padding must be the sign of the last channel."""
    kind, count = design.output.type, design.output.shape[-1]
    if design.style == "unrolled":
        count = int(np.prod(design.output.shape))
    codes = [unpacked(word, kind.width, kind.signed, count) for word in run.data]
    for word, row in zip(run.data, codes, strict=True):
        assert word == packed(row[:-1], kind.width) | (
            (row[-1] << kind.width * (count - 1)) & ((1 << design.output.tdata_bits) - 1)
        )
    return np.array(codes, dtype=np.int64).reshape(-1, count), np.stack([run.user, run.last], axis=1).astype(
        np.int64
    )
