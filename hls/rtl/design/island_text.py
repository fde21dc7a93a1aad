"""An island in Verilog: what takes its steps, a kernel for each lane, a credit FIFO."""

from __future__ import annotations

from dwell.hls.rtl.design.text import (
    CLOCK,
    INDENT,
    bits_of,
    delay,
    instance,
    joined,
    offsets,
    packed_literal,
    side_by_side,
    unused,
    wire,
)
from dwell.hls.rtl.stream.blocks import Island, Plan, Reduce, Repeat, Window
from dwell.hls.rtl.stream.layout import Layout


class IslandPrinter:
    """Prints islands of `plan`."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.modules = plan, plan.modules

    def lines(self, block: Island) -> list[str]:
        name, out = block.name, self.plan.links[block.output]
        lines = [
            f"{INDENT}wire {name}_want, {name}_credit, {name}_step, {name}_valid;",
            wire(f"{name}_marks", 3),
        ]
        if isinstance(block.front, Window):
            lines += self._window(block, block.front)
        elif isinstance(block.front, Repeat):
            lines += self._repeat(block, block.front)
        elif isinstance(block.front, Reduce):
            lines += self._reduce(block, block.front)
        else:
            lines += self._pixels(block)
        lines += self._kernels(block, out)
        fifo = {
            **CLOCK,
            "s_valid": f"{name}_want", "s_ready": f"{name}_credit", "accept": f"{name}_step",
            "out_valid": f"{name}_done", "out_data": f"{{{name}_done_marks, {name}_result}}",
            "m_valid": f"{block.output}_valid", "m_ready": f"{block.output}_ready",
            "m_data": f"{{{block.output}_marks, {block.output}_data}}",
        }  # fmt: skip
        parameters = {"BITS": out.bits + 3, "LATENCY": block.latency, "DEPTH_LOG2": block.depth_log2}
        return [*lines, instance("dwell_credit_fifo", f"u_{name}_fifo", fifo, parameters)]

    def _kernels(self, block: Island, out: Layout) -> list[str]:
        """A kernel for each lane behind the front's `taps`."""
        name, kernel = block.name, block.kernel
        lines = [wire(f"{name}_done"), wire(f"{name}_done_marks", 3), wire(f"{name}_result", out.bits)]
        if kernel is None:
            return [
                *lines,
                f"{INDENT}assign {name}_done = {name}_valid;",
                f"{INDENT}assign {name}_done_marks = {name}_marks;",
                f"{INDENT}assign {name}_result = {name}_taps;",
            ]
        taps, bits = kernel.input_bits, kernel.result_bits
        for lane in range(out.lanes):
            lines.append(
                f"{INDENT}{self.modules[kernel.name]} u_{name}_{lane} (.aclk(aclk), "
                f".taps({name}_taps[{(lane + 1) * taps - 1}:{lane * taps}]), "
                f".result({name}_result[{(lane + 1) * bits - 1}:{lane * bits}]));"
            )
        depth = kernel.latency
        return [
            *lines,
            delay(f"{name}_done", f"{name}_valid", f"{name}_done", depth=depth, reset=True),
            delay(f"{name}_done_marks", f"{name}_marks", f"{name}_done_marks", depth=depth, bits=3),
        ]

    def _window(self, block: Island, front: Window) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame, out, geometry = self.plan.links[link], self.plan.links[block.output], front.geometry
        # What a tap carries may reach down to zero, which padding brings in; its bits are those of the pixel.
        parameters = {
            "PIXEL_BITS": frame.pixel_bits, "LANES": frame.lanes, "ROWS": frame.rows, "COLUMNS": frame.columns,
            "KERNEL_H": geometry.kernel[0], "KERNEL_W": geometry.kernel[1],
            "DILATION_H": geometry.dilation[0], "DILATION_W": geometry.dilation[1],
            "STRIDE_H": geometry.stride[0], "STRIDE_W": geometry.stride[1],
            "TOP": geometry.padding[0], "LEFT": geometry.padding[2],
            "OUT_ROWS": out.rows, "OUT_COLUMNS": out.columns,
            "PAD": packed_literal(front.pad, frame.spans),
        }  # fmt: skip
        taps = out.lanes * geometry.kernel[0] * geometry.kernel[1] * frame.pixel_bits
        return [
            wire(f"{name}_taps", taps),
            instance(
                "dwell_scan_window", f"u_{name}_window", self._step_ports(block, "out_taps"), parameters
            ),
            unused(name, f"{name}_step", f"{link}_marks[2:1]"),
        ]

    def _step_ports(self, block: Island, data: str) -> dict[str, str]:
        name, link = block.name, block.inputs[0]
        return {
            **CLOCK,
            "in_valid": f"{link}_valid", "in_ready": f"{link}_ready",
            "in_bank": f"{link}_marks[0]", "in_data": f"{link}_data",
            "want": f"{name}_want", "credit": f"{name}_credit",
            "out_valid": f"{name}_valid", "out_first": f"{name}_marks[2]",
            "out_last": f"{name}_marks[1]", "out_bank": f"{name}_marks[0]", data: f"{name}_taps",
        }  # fmt: skip

    def _repeat(self, block: Island, front: Repeat) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame = self.plan.links[link]
        parameters = {
            "PIXEL_BITS": frame.pixel_bits, "LANES": frame.lanes, "ROWS": frame.rows, "BEATS": frame.row_beats,
            "FACTOR_H": front.factor[0], "FACTOR_W": front.factor[1],
        }  # fmt: skip
        return [
            wire(f"{name}_taps", frame.bits * front.factor[1]),
            instance("dwell_upsample", f"u_{name}_repeat", self._step_ports(block, "out_data"), parameters),
            unused(name, f"{name}_step", f"{link}_marks[2:1]"),
        ]

    def _pixels(self, block: Island) -> list[str]:
        name, links = block.name, block.inputs
        lines = [
            wire(f"{name}_taps", sum(self.plan.links[link].bits for link in links)),
            f"{INDENT}assign {name}_valid = {name}_step;",
            f"{INDENT}assign {name}_marks = {links[0]}_marks;",
        ]
        if len(links) == 1:
            return [
                *lines,
                f"{INDENT}assign {name}_want = {links[0]}_valid;",
                f"{INDENT}assign {links[0]}_ready = {name}_credit;",
                f"{INDENT}assign {name}_taps = {links[0]}_data;",
            ]
        return [
            *lines,
            *joined(name, links, f"{name}_want", f"{name}_credit"),
            *side_by_side(self.plan.links, links, f"{name}_taps"),
        ]

    def _reduce(self, block: Island, front: Reduce) -> list[str]:
        name, link = block.name, block.inputs[0]
        frame = self.plan.links[link]
        spans = front.lanes.result if front.lanes else frame.spans
        lines = [
            f"{INDENT}assign {name}_want = {link}_valid;",
            f"{INDENT}assign {link}_ready = {name}_credit;",
            wire(f"{name}_one", bits_of(spans)),
            wire(f"{name}_one_valid"),
            wire(f"{name}_one_marks", 3),
            wire(f"{name}_taps", bits_of(front.sums)),
        ]
        depth = front.lanes.latency if front.lanes else 0
        if front.lanes:
            module = self.modules[front.lanes.name]
            lines.append(
                f"{INDENT}{module} u_{name}_lanes (.aclk(aclk), .taps({link}_data), .result({name}_one));"
            )
        else:
            lines.append(f"{INDENT}assign {name}_one = {link}_data;")
        lines += [
            delay(f"{name}_one_valid", f"{name}_step", f"{name}_one_valid", depth=depth, reset=True),
            delay(f"{name}_one_marks", f"{link}_marks", f"{name}_one_marks", depth=depth, bits=3),
        ]
        lines += self._accumulators(name, front, [s.bits for s in spans], [int(s.signed) for s in spans])
        return [
            *lines,
            delay(
                f"{name}_valid",
                f"{name}_one_valid & {name}_one_marks[1]",
                f"{name}_valid",
                depth=1,
                reset=True,
            ),
            delay(f"{name}_bank", f"{name}_one_marks[0]", f"{name}_marks[0]", depth=1),
            f"{INDENT}assign {name}_marks[2:1] = 2'b11;",
        ]

    def _accumulators(self, name: str, front: Reduce, bits: list[int], signed: list[int]) -> list[str]:
        lines, low, place = [], 0, offsets(front.sums)
        for channel, span in enumerate(front.sums):
            ports = {
                "clk": "aclk", "in_valid": f"{name}_one_valid", "in_first": f"{name}_one_marks[2]",
                "a": f"{name}_one[{low + bits[channel] - 1}:{low}]",
                "y": f"{name}_taps[{place[channel] + span.bits - 1}:{place[channel]}]",
            }  # fmt: skip
            parameters = {
                "A_BITS": bits[channel], "A_SIGNED": signed[channel], "MAX": int(front.largest), "Y_BITS": span.bits,
            }  # fmt: skip
            lines.append(instance("dwell_accumulate", f"u_{name}_sum{channel}", ports, parameters))
            low += bits[channel]
        return lines
