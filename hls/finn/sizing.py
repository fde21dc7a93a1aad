"""How deep the FIFOs between FINN's layers have to be: found by simulation, the smallest that keep the throughput.

One model is built in which a port sets every depth; then each FIFO in turn, from the output to the input, is
made as shallow as the interval between frames allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dwell.errors import ToolNotFoundError, VerificationError
from dwell.hls.finn.top import Core, print_core
from dwell.hls.qmodel import Codes
from dwell.hls.rtl.netlist import Port
from dwell.plugins import SIMULATORS, load_group

#: A skip connection round a convolution holds the lines that the convolution waits for.
DEEPEST = 16384
#: Clocks between frames where none come: layers that wait for each other.
NEVER = DEEPEST**3
FRAMES = 12
#: Fewer do for frames of more beats than this.
LARGE_BEATS = 1024
FRAMES_IF_LARGE = 6

Bytes = npt.NDArray[np.uint8]
Clocks = npt.NDArray[np.uint32]


class Played(Protocol):
    """What a simulator gives back: the beats that came out, the clocks of all handshakes, a fault or '', and assertions
    of the design that did not hold."""

    data: Bytes
    in_clocks: Clocks
    out_clocks: Clocks
    fault: str
    assertions: tuple[str, ...]


class PlayedCodes(Protocol):
    """The same with codes (beats, elements) in place of bytes."""

    codes: Codes
    in_clocks: Clocks
    out_clocks: Clocks
    fault: str
    assertions: tuple[str, ...]


class Simulator(Protocol):
    """An entry of the group `dwell.simulators`."""

    def play(
        self, top: str, sources: tuple[Path, ...], data: Bytes, marks: Bytes, out_bytes: int, expected: int
    ) -> Played:
        """Send beats `data` (N, bytes) with `marks` (bit 0 TUSER, bit 1 TLAST) at full speed through `top`."""
        ...

    def play_codes(
        self, top: str, sources: tuple[Path, ...], codes: Codes, sides: tuple[Port, Port], out_beats: int
    ) -> PlayedCodes:
        """Send frames of `codes` (N, …), each of which gives `out_beats` beats."""
        ...


def simulator() -> Simulator:
    """The bulk simulator. Raises `ToolNotFoundError` where none is installed."""
    for plugin in load_group(SIMULATORS).values():
        if plugin.ok:
            chosen: Simulator = plugin.value
            return chosen
    raise ToolNotFoundError("no simulator is installed", hint="install dwell whole")


@dataclass(frozen=True)
class Frame:
    """Beats of a frame on both sides, and bytes of each."""

    in_beats: int
    in_bytes: int
    out_beats: int
    out_bytes: int


def print_harness(core: Core, module: str, frame: Frame) -> str:
    """The core with depths set by the first beats, behind dwell's outside ports."""
    bits = max(8 * frame.in_bytes, 16)
    into, out = core.bits(core.entry), core.bits(core.final)
    count = len(core.queued)
    return f"""`default_nettype none
module {module}_harness (
    input wire aclk, input wire aresetn,
    input wire [{bits - 1}:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    input wire s_axis_tlast, input wire s_axis_tuser,
    output wire [{8 * frame.out_bytes - 1}:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready,
    output wire m_axis_tlast, output wire m_axis_tuser
);
    wire [{16 * count - 1}:0] limits;
    wire [{bits - 1}:0] beat;
    wire [{out - 1}:0] result;
    wire beat_valid, beat_ready, result_valid, result_ready;
    assign m_axis_tlast = s_axis_tlast & 1'b0, m_axis_tuser = s_axis_tuser & 1'b0;
    dwell_limits #(.BITS({bits}), .COUNT({count})) u_limits (
        .clk(aclk), .rst_n(aresetn), .s_valid(s_axis_tvalid), .s_ready(s_axis_tready), .s_data(s_axis_tdata),
        .limits(limits), .m_valid(beat_valid), .m_ready(beat_ready), .m_data(beat)
    );
    {module} u_core (
        .ap_clk(aclk), .ap_rst_n(aresetn), .limits(limits),
        .s_data(beat[{into - 1}:0]), .s_valid(beat_valid), .s_ready(beat_ready),
        .m_data(result), .m_valid(result_valid), .m_ready(result_ready)
    );
    dwell_fifo #(.BITS({8 * frame.out_bytes}), .DEPTH(2)) u_out (
        .clk(aclk), .rst_n(aresetn), .s_valid(result_valid), .s_ready(result_ready),
        .s_data(result[{8 * frame.out_bytes - 1}:0]),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data(m_axis_tdata)
    );
endmodule
`default_nettype wire
"""


@dataclass(frozen=True)
class Sizes:
    """The depth of each FIFO, and the clocks between frames with them and with FIFOs without end."""

    depths: Mapping[str, int]
    frame_cycles: int
    unlimited_cycles: int


def size_fifos(core: Core, measure: Callable[[Mapping[str, int]], int]) -> Sizes:
    """The smallest depths at which `measure` (depths to clocks between frames) gives no more than without limits.

    Raises `VerificationError` where no depth lets the layers run.
    """
    depths = {str(link["name"]): DEEPEST for link in core.queued}
    best = measure(depths)
    if best >= NEVER:
        raise VerificationError(
            f"FINN's layers stand still, even with FIFOs of {DEEPEST} beats between them",
            first_mismatch=None,
            hint="convert with --backend rtl",
        )
    for name in reversed(list(depths)):
        low, high = 1, 1  # most are shallow: double the depth until it does, then search below
        while high < DEEPEST and measure({**depths, name: high}) > best:
            low, high = high + 1, 2 * high
        while low < high:
            middle = (low + high) // 2
            if measure({**depths, name: middle}) <= best:
                high = middle
            else:
                low = middle + 1
        depths[name] = low
    return Sizes(depths, measure(depths), best)


def measure_with(
    sources: tuple[Path, ...], module: str, core: Core, frame: Frame
) -> Callable[[Mapping[str, int]], int]:
    """A function from depths to the clocks between frames, by simulation of some frames."""
    tool = simulator()
    names = [str(link["name"]) for link in core.queued]
    width = max(frame.in_bytes, 2)
    rng = np.random.default_rng(0)
    frames = FRAMES_IF_LARGE if frame.in_beats > LARGE_BEATS else FRAMES
    body = rng.integers(0, 256, (frames * frame.in_beats, width), dtype=np.uint8)
    seen: dict[tuple[int, ...], int] = {}

    def measure(depths: Mapping[str, int]) -> int:
        key = tuple(depths[name] for name in names)
        if key not in seen:
            head = np.zeros((len(names), width), dtype=np.uint8)
            head[:, :2] = np.array(key, dtype="<u2").view(np.uint8).reshape(-1, 2)
            data = np.concatenate([head, body])
            expected = frames * frame.out_beats
            played = tool.play(
                f"{module}_harness", sources, data, np.zeros(len(data), np.uint8), frame.out_bytes, expected
            )
            seen[key] = NEVER if played.fault else interval(played.out_clocks, frame.out_beats)
        return seen[key]

    return measure


def interval(out_clocks: Clocks, beats: int) -> int:
    """Clocks between frames in the steady state: over the later half of them, rounded up."""
    last = out_clocks.reshape(-1, beats)[:, -1].astype(np.int64)
    if len(last) < 4:
        raise VerificationError("too few frames came out to measure", first_mismatch={"frames": len(last)})
    half = len(last) // 2
    return int(-(-(last[-1] - last[half - 1]) // (len(last) - half)))


def write_harness(core: Core, module: str, frame: Frame, folder: Path) -> tuple[Path, Path]:
    """The core with limited FIFOs and its harness as files in `folder`."""
    (folder / f"{module}.v").write_text(print_core(core, module, None))
    (folder / f"{module}_harness.v").write_text(print_harness(core, module, frame))
    return folder / f"{module}.v", folder / f"{module}_harness.v"
