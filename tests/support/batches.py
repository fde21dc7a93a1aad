"""Many designs in one simulator: what takes long is building one, not running it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dwell.errors import ToolFailedError
from dwell.sim.beats import Beats
from dwell.sim.dut import Dut
from dwell.sim.verilated import CoreRun, RunOptions, VerilatedCore, build_core

#: Compiled so, twenty small networks are there in seconds; they run at some 100,000 clocks a second.
LEVEL = "-O0"

#: Verilog in one simulator, in bytes: Verilator's time and memory grow faster than that.
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class BatchedCore:
    """One of the designs in a batch, as if it were alone."""

    driver: VerilatedCore
    index: int
    in_bytes: int
    out_bytes: int

    def run(
        self, beats: Beats, options: RunOptions, *, progress: Callable[[float], None] | None = None
    ) -> CoreRun:
        """Send `beats` from reset on, after a first beat that says whom they are for."""
        data = np.zeros((len(beats) + 1, self.in_bytes), dtype=np.uint8)
        data[0, :2] = np.frombuffer(self.index.to_bytes(2, "little"), np.uint8)
        data[1:, : beats.data.shape[1]] = beats.data
        sent = Beats(data, np.concatenate([np.zeros(1, np.uint8), beats.flags]))
        run = self.driver.run(sent, replace(options, out_bytes=self.out_bytes), progress=progress)
        got = Beats(run.beats.data[:, : options.out_bytes], run.beats.flags)
        return replace(run, beats=got, in_clocks=run.in_clocks[1:])


def build_batches(duts: Sequence[Dut], folder: Path) -> list[BatchedCore | ToolFailedError]:
    """As few simulators as sense allows for all `duts`, whose tops have names of their own.

    In the place of a design that no simulator can be built of is the error that says so.
    """
    groups: list[list[Dut]] = [[]]
    size = 0
    for dut in duts:
        here = sum(source.stat().st_size for source in dut.sources)
        if groups[-1] and size + here > MOST_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(dut)
        size += here
    return [core for group in groups if group for core in _built(group, folder)]


def _built(duts: Sequence[Dut], folder: Path) -> Sequence[BatchedCore | ToolFailedError]:
    try:
        return build_batch(duts, folder / f"from_{duts[0].name}_{len(duts)}")
    except ToolFailedError as error:
        if len(duts) == 1:
            return [error]
    middle = len(duts) // 2
    return [*_built(duts[:middle], folder), *_built(duts[middle:], folder)]


def build_batch(duts: Sequence[Dut], folder: Path) -> list[BatchedCore]:
    """One simulator of all `duts`, whose tops have names of their own; files are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    for dut in duts:
        for source in dut.sources:
            text = source.read_text()
            if texts.setdefault(source.name, text) != text:
                raise ValueError(f"two designs have different files {source.name}")
    in_bytes = max(2, *(dut.input.size for dut in duts))
    out_bytes = max(dut.output.size for dut in duts)
    text = _wrapper(duts, in_bytes, out_bytes)
    top = f"batch_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    texts[f"{top}.v"] = text.replace("module batch ", f"module {top} ")
    for name, text in texts.items():
        (folder / name).write_text(text)
    driver = VerilatedCore(build_core(top, sorted(folder / name for name in texts), level=LEVEL))
    return [BatchedCore(driver, index, in_bytes, out_bytes) for index in range(len(duts))]


def _wrapper(duts: Sequence[Dut], in_bytes: int, out_bytes: int) -> str:
    """Verilog: the first beat after reset chooses a design; only that one has a clock from then on."""
    many, out_bits = len(duts), 8 * out_bytes
    lines = [
        "module batch (",
        "    input wire aclk, input wire aresetn,",
        f"    input wire [{8 * in_bytes - 1}:0] s_axis_tdata, input wire s_axis_tvalid,",
        "    output wire s_axis_tready, input wire s_axis_tlast, input wire s_axis_tuser,",
        f"    output wire [{out_bits - 1}:0] m_axis_tdata, output wire m_axis_tvalid,",
        "    input wire m_axis_tready, output wire m_axis_tlast, output wire m_axis_tuser",
        ");",
        "    reg chosen;",
        "    reg [15:0] which;",
        f"    wire [{many - 1}:0] ready, valid, last, user;",
        f"    wire [{many * out_bits - 1}:0] data;",
        "    assign s_axis_tready = !chosen || ready[which];",
        "    assign m_axis_tvalid = chosen && valid[which];",
        "    assign m_axis_tlast = last[which];",
        "    assign m_axis_tuser = user[which];",
        f"    assign m_axis_tdata = data[which * {out_bits} +: {out_bits}];",
        "    always @(posedge aclk)",
        "        if (!aresetn) chosen <= 1'b0;",
        "        else if (!chosen && s_axis_tvalid) begin",
        "            chosen <= 1'b1;",
        "            which <= s_axis_tdata[15:0];",
        "        end",
    ]
    for index, dut in enumerate(duts):
        used, bits = 8 * dut.output.size, 8 * dut.input.size
        if used < out_bits:
            high = f"data[{index * out_bits + used} +: {out_bits - used}]"
            lines.append(f"    assign {high} = {out_bits - used}'d0;")
        lines += [
            f"    wire mine{index} = which == 16'd{index};",
            f"    wire clk{index} = aclk && (!chosen || mine{index});",
            f"    {dut.top} u{index} (",
            f"        .aclk(clk{index}), .aresetn(aresetn), .s_axis_tdata(s_axis_tdata[{bits - 1}:0]),",
            f"        .s_axis_tvalid(s_axis_tvalid && chosen && mine{index}), .s_axis_tready(ready[{index}]),",
            "        .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),",
            f"        .m_axis_tdata(data[{index * out_bits} +: {used}]), .m_axis_tvalid(valid[{index}]),",
            f"        .m_axis_tready(m_axis_tready && chosen && mine{index}),",
            f"        .m_axis_tlast(last[{index}]), .m_axis_tuser(user[{index}])",
            "    );",
        ]
    return "\n".join([*lines, "endmodule", ""])
