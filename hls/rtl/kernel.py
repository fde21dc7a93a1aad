"""A stage's circuit as a Verilog module: instances of the primitives, and delays between pipeline stages."""

from __future__ import annotations

from collections.abc import Sequence

from dwell.errors import InternalError
from dwell.hls.rtl.circuit import Cast, Circuit, Constant, Negate, Range, ShiftAdd, Tap, operands
from dwell.hls.rtl.lowering import Stage
from dwell.hls.rtl.schedule import Schedule

_INDENT = "    "


def print_kernel(stage: Stage, module: str, header: str) -> str:
    """The module text. Ports: `aclk`; `taps`, the inputs packed, first one lowest; `result`, likewise."""
    return _Printer(stage.circuit, stage.schedule).module(stage, module, header)


class _Printer:
    def __init__(self, circuit: Circuit, schedule: Schedule) -> None:
        self.circuit = circuit
        self.schedule = schedule
        self.offsets = _offsets(circuit.inputs)
        self.last = _last_stage(circuit, schedule)

    def module(self, stage: Stage, module: str, header: str) -> str:
        width_in = sum(span.bits for span in self.circuit.inputs)
        width_out = sum(s.range.bits for s in self.circuit.outputs)
        lines = [
            header + "//",
            f"// Kernel of {stage.kind} '{stage.name}': {self.circuit.adders} adders, "
            f"pipeline stages: {self.schedule.stages}, a result every clock.",
            "// Names: x = input, n = value, n_s2 = the same value in stage 2.",
            "`default_nettype none",
            "",
            f"module {module} (",
            "    input  wire aclk,",
            f"    input  wire [{width_in - 1}:0] taps,",
            f"    output wire [{width_out - 1}:0] result",
            ");",
            "",
            *self._inputs(),
        ]
        for number in range(self.schedule.stages):
            lines += ["", f"{_INDENT}// ---- stage {number}"]
            lines += self._stage(number)
        lines += ["", f"{_INDENT}// ---- results", *self._results()]
        lines += ["", "endmodule", "", "`default_nettype wire", ""]
        return "\n".join(lines)

    def _inputs(self) -> list[str]:
        used = {node.index for node in self.circuit.nodes if isinstance(node, Tap)}
        lines = []
        for index in sorted(used):
            span, low = self.circuit.inputs[index], self.offsets[index]
            lines.append(f"{_INDENT}wire {_bits(span)}x{index} = taps[{low + span.bits - 1}:{low}];")
        if len(used) < len(self.circuit.inputs):
            lines.append(f"{_INDENT}wire unused_taps = &{{1'b0, taps}};  // some taps have no weight")
        return lines

    def _stage(self, number: int) -> list[str]:
        lines: list[str] = []
        for index, node in enumerate(self.circuit.nodes):
            if self.schedule.stage[index] == number and not isinstance(node, Tap | Constant):
                lines += self._node(index)
        delays = []
        for index, span in enumerate(self.circuit.ranges):
            if self.schedule.stage[index] <= number < self.last[index]:
                now, then = self._name(index, number), self._name(index, number + 1)
                delays.append(f"{_INDENT}wire {_bits(span)}{then};")
                delays.append(
                    f"{_INDENT}dwell_delay #(.BITS({span.bits})) r_{then} "
                    f"(.clk(aclk), .rst_n(1'b1), .d({now}), .q({then}));"
                )
        return lines + delays

    def _name(self, index: int, stage: int) -> str:
        node = self.circuit.nodes[index]
        if isinstance(node, Constant):
            return _literal(node.code, self.circuit.ranges[index])
        base = f"x{node.index}" if isinstance(node, Tap) else f"n{index}"
        return base if stage == self.schedule.stage[index] else f"{base}_s{stage}"

    def _node(self, index: int) -> list[str]:
        node, span = self.circuit.nodes[index], self.circuit.ranges[index]
        at = self.schedule.stage[index]
        names = [self._name(i, at) for i in operands(node)]
        spans = [self.circuit.ranges[i] for i in operands(node)]
        declare = f"{_INDENT}wire {_bits(span)}n{index};"
        if isinstance(node, ShiftAdd):
            a, b = spans
            values = {
                "A_BITS": a.bits, "A_SIGNED": int(a.signed), "A_UP": node.a_up,
                "B_BITS": b.bits, "B_SIGNED": int(b.signed), "B_UP": node.b_up,
                "SUBTRACT": int(node.subtract), "DROP": node.drop, "Y_BITS": span.bits,
            }  # fmt: skip
            return [declare, _instance("dwell_shift_add", values, f"u{index}", names, f"n{index}")]
        if isinstance(node, Negate):
            values = {"A_BITS": spans[0].bits, "A_SIGNED": int(spans[0].signed), "Y_BITS": span.bits}
            return [declare, _instance("dwell_negate", values, f"u{index}", names, f"n{index}")]
        if isinstance(node, Cast):
            rule = node.rule
            if rule.bits != span.bits:
                raise InternalError(f"a cast to {rule.bits} bits gives values of {span.bits} bits")
            values = {
                "A_BITS": spans[0].bits, "A_SIGNED": int(spans[0].signed), "RELU": int(rule.relu),
                "DROP": rule.drop, "UP": rule.up, "ROUND": int(rule.rounding), "OVERFLOW": int(rule.overflow),
                "Y_BITS": rule.bits, "Y_SIGNED": int(rule.signed),
            }  # fmt: skip
            return [declare, _instance("dwell_cast", values, f"u{index}", names, f"n{index}")]
        raise InternalError(f"no primitive prints a {type(node).__name__}")

    def _results(self) -> list[str]:
        lines, low = [], 0
        for signal in self.circuit.outputs:
            name, span = self._name(signal.node, self.schedule.stages), signal.range
            slot = f"[{low + span.bits - 1}:{low}]"
            lines.append(f"{_INDENT}assign result{slot} = {name};  // {span}")
            low += span.bits
        return lines


def _last_stage(circuit: Circuit, schedule: Schedule) -> list[int]:
    """The last stage in which each node's value is read; constants never wait."""
    last = list(schedule.stage)
    for index, node in enumerate(circuit.nodes):
        for other in operands(node):
            last[other] = max(last[other], schedule.stage[index])
    for signal in circuit.outputs:
        last[signal.node] = schedule.stages
    return [
        schedule.stage[i] if isinstance(node, Constant) else last[i] for i, node in enumerate(circuit.nodes)
    ]


def _offsets(spans: Sequence[Range]) -> list[int]:
    out, low = [], 0
    for span in spans:
        out.append(low)
        low += span.bits
    return out


def _bits(span: Range) -> str:
    return f"[{span.bits - 1}:0] "


def _literal(code: int, span: Range) -> str:
    return f"{span.bits}'d{code & ((1 << span.bits) - 1)}"


def _instance(module: str, values: dict[str, int], name: str, inputs: Sequence[str], output: str) -> str:
    parameters = ", ".join(f".{key}({value})" for key, value in values.items())
    ports = ", ".join(f".{port}({wire})" for port, wire in zip("ab", inputs, strict=False))
    return f"{_INDENT}{module} #({parameters}) {name} ({ports}, .y({output}));"
