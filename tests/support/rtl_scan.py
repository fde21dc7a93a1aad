"""The fixed-frame windower on a bench of its own, and what NumPy says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rtl_icarus import StreamRun, run_stream
from rtl_streams import packed

from dwell.hls.rtl import library_files

Codes = npt.NDArray[np.int64]

_WRAPPER = """\
`default_nettype none
module wrapper (
    input wire aclk, input wire aresetn,
    input wire [@IN@-1:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    input wire s_axis_tlast, input wire s_axis_tuser,
    output wire [@OUT@-1:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready,
    output wire m_axis_tlast, output wire m_axis_tuser
);
    wire want, credit, step, valid, first, last, bank;
    wire [@OUT@-2:0] taps;
    dwell_scan_window #(@PARAMETERS@) dut (
        .clk(aclk), .rst_n(aresetn), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready),
        .in_bank(s_axis_tdata[@IN@-1]), .in_data(s_axis_tdata[@IN@-2:0]), .want(want), .credit(credit),
        .out_valid(valid), .out_first(first), .out_last(last), .out_bank(bank), .out_taps(taps)
    );
    dwell_credit_fifo #(.BITS(@OUT@ + 2), .LATENCY(@LATENCY@), .DEPTH_LOG2(3)) fifo (
        .clk(aclk), .rst_n(aresetn), .s_valid(want), .s_ready(credit), .accept(step),
        .out_valid(valid), .out_data({first, last, bank, taps}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({m_axis_tuser, m_axis_tlast, m_axis_tdata})
    );
    wire unused = &{1'b0, step, s_axis_tlast, s_axis_tuser};
endmodule
`default_nettype wire
"""


@dataclass(frozen=True)
class Scan:
    """Geometry of a windower; `padding` is (top, bottom, left, right)."""

    lanes: int
    frame: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    dilation: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (1, 1, 1, 1)
    bits: int = 4
    pad: int = 0

    @property
    def reach(self) -> tuple[int, int]:
        return (self.kernel[0] - 1) * self.dilation[0], (self.kernel[1] - 1) * self.dilation[1]

    @property
    def out(self) -> tuple[int, int]:
        top, bottom, left, right = self.padding
        return (
            (self.frame[0] + top + bottom - self.reach[0] - 1) // self.stride[0] + 1,
            (self.frame[1] + left + right - self.reach[1] - 1) // self.stride[1] + 1,
        )

    @property
    def out_lanes(self) -> int:
        return max(self.lanes // self.stride[1], 1)

    @property
    def parameters(self) -> dict[str, int]:
        return {
            "PIXEL_BITS": self.bits, "LANES": self.lanes, "ROWS": self.frame[0], "COLUMNS": self.frame[1],
            "KERNEL_H": self.kernel[0], "KERNEL_W": self.kernel[1],
            "DILATION_H": self.dilation[0], "DILATION_W": self.dilation[1],
            "STRIDE_H": self.stride[0], "STRIDE_W": self.stride[1],
            "TOP": self.padding[0], "LEFT": self.padding[2],
            "OUT_ROWS": self.out[0], "OUT_COLUMNS": self.out[1], "PAD": self.pad,
        }  # fmt: skip

    def beats(self, frame: Codes, bank: int) -> list[tuple[bool, bool, int]]:
        """A frame (rows, columns) as beats, the last one of a row filled up with junk."""
        columns = -(-frame.shape[1] // self.lanes) * self.lanes
        junk = (frame.sum() * 7 + 5) % (1 << self.bits)
        wide = np.full((frame.shape[0], columns), junk, dtype=np.int64)
        wide[:, : frame.shape[1]] = frame
        top = bank << (self.bits * self.lanes)
        return [(False, False, top | packed(list(b), self.bits)) for b in wide.reshape(-1, self.lanes)]

    def windows(self, frame: Codes) -> Codes:
        """(rows, columns, taps) of the results."""
        top, bottom, left, right = self.padding
        padded = np.pad(frame, ((top, bottom), (left, right)), constant_values=self.pad)
        rows, columns = self.out
        taps = [
            padded[ky * self.dilation[0] :: self.stride[0], kx * self.dilation[1] :: self.stride[1]][
                :rows, :columns
            ]
            for ky in range(self.kernel[0])
            for kx in range(self.kernel[1])
        ]
        return np.stack(taps, axis=-1)


def run_scan(scan: Scan, folder: Path, frames: Codes, banks: list[int], **pauses: int) -> StreamRun:
    """Frames (N, rows, columns) through the windower."""
    taps = scan.kernel[0] * scan.kernel[1] * scan.bits * scan.out_lanes
    text = _WRAPPER
    for key, value in {
        "IN": scan.lanes * scan.bits + 1,
        "OUT": taps + 1,
        "LATENCY": 2 if scan.kernel[0] > 1 else 1,
        "PARAMETERS": ", ".join(f".{k}({v})" for k, v in scan.parameters.items()),
    }.items():
        text = text.replace(f"@{key}@", str(value))
    (folder / "wrapper.v").write_text(text)
    beats = [beat for frame, bank in zip(frames, banks, strict=True) for beat in scan.beats(frame, bank)]
    sources = [folder / "wrapper.v", *library_files()]
    return run_stream(folder, sources, "wrapper", (scan.lanes * scan.bits + 1, taps + 1), beats, **pauses)


def check_scan(scan: Scan, run: StreamRun, frames: Codes, banks: list[int]) -> int:
    """Every tap of every window, in order, with its marks and its bank. Returns how many windows."""
    rows, columns = scan.out
    per_row = -(-columns // scan.out_lanes)
    assert not run.faults, run.faults
    assert len(run.data) == len(frames) * rows * per_row
    taps = scan.kernel[0] * scan.kernel[1]
    shift = taps * scan.bits * scan.out_lanes
    mask = (1 << scan.bits) - 1
    at = 0
    for frame, bank in zip(frames, banks, strict=True):
        wanted = scan.windows(frame)
        for row in range(rows):
            for beat in range(per_row):
                word = run.data[at]
                assert word >= 0, f"unknown bits at row {row}, beat {beat}"
                assert word >> shift == bank
                assert run.user[at] == (row == 0 and beat == 0)
                assert run.last[at] == (row == rows - 1 and beat == per_row - 1)
                for lane in range(min(scan.out_lanes, columns - beat * scan.out_lanes)):
                    got = [(word >> ((lane * taps + t) * scan.bits)) & mask for t in range(taps)]
                    assert got == list(wanted[row, beat * scan.out_lanes + lane]), (row, beat, lane)
                at += 1
    return len(frames) * rows * columns
