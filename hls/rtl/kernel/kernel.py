"""A kernel as a Verilog module: instances of the primitives, and delays between pipeline stages.

A kernel is a circuit with the clocks in which its nodes work. It takes a new set of inputs every clock, never
stalls, and has its registered results `latency` clocks later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwell.errors import InternalError
from dwell.hls.rtl.circuit.builder import (
    Cast,
    Circuit,
    Constant,
    Less,
    Lookup,
    Negate,
    Product,
    Range,
    Select,
    ShiftAdd,
    ShiftAdd3,
    Tap,
    operands,
)
from dwell.hls.rtl.circuit.gates import Node
from dwell.hls.rtl.circuit.schedule import Schedule

_INDENT = "    "


@dataclass(frozen=True)
class Kernel:
    """A circuit and its pipeline; `name` and `kind` say in remarks which node of the graph it is for."""

    name: str
    kind: str
    circuit: Circuit
    schedule: Schedule

    @property
    def latency(self) -> int:
        """Clocks from its inputs to its registered results."""
        return self.schedule.stages

    @property
    def input_bits(self) -> int:
        """Bits of port `taps`."""
        return sum(span.bits for span in self.circuit.inputs)

    @property
    def result(self) -> tuple[Range, ...]:
        """What port `result` carries, the first one in the lowest bits."""
        return tuple(s.range for s in self.circuit.outputs)

    @property
    def result_bits(self) -> int:
        """Bits of port `result`."""
        return sum(span.bits for span in self.result)


def print_kernel(kernel: Kernel, module: str, header: str) -> str:
    """The module text. Ports: `aclk`; `taps`, the inputs packed, first one lowest; `result`, likewise."""
    return _Printer(kernel.circuit, kernel.schedule).module(kernel, module, header)


class _Printer:
    def __init__(self, circuit: Circuit, schedule: Schedule) -> None:
        self.circuit = circuit
        self.schedule = schedule
        self.offsets = _offsets(circuit.inputs)
        self.last = _last_stage(circuit, schedule)

    def module(self, kernel: Kernel, module: str, header: str) -> str:
        lines = [
            header + "//",
            f"// Kernel of {kernel.kind} '{kernel.name}': {self.circuit.adders} adders, "
            f"pipeline stages: {self.schedule.stages}, a result every clock.",
            "// Names: x = input, n = value, n_s2 = the same value in stage 2.",
            "`default_nettype none",
            "",
            f"module {module} (",
            "    input  wire aclk,",
            f"    input  wire [{kernel.input_bits - 1}:0] taps,",
            f"    output wire [{kernel.result_bits - 1}:0] result",
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
        if list(self.schedule.stage) == self.last:
            lines.append(f"{_INDENT}wire unused_clock = &{{1'b0, aclk}};  // the result is constant")
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
        reads = operands(node)
        names = [self._name(i, self.schedule.stage[index]) for i in reads]
        module, values = _primitive(node, span, [self.circuit.ranges[i] for i in reads])
        ports = dict(zip("cab" if isinstance(node, Select) else "abc", names, strict=False))
        declared = f"{_INDENT}wire {_bits(span)}n{index};"
        above = node.rule.bits - span.bits if isinstance(node, Cast) else 0
        if above <= 0:
            return [declared, _instance(module, values, f"u{index}", ports, f"n{index}")]
        # The interval needs fewer bits than the type that is cast to (of -1..1 only -1..0 occurs, say).
        return [
            declared,
            f"{_INDENT}wire [{above - 1}:0] n{index}_above;",
            _instance(module, values, f"u{index}", ports, f"{{n{index}_above, n{index}}}"),
            f"{_INDENT}wire unused_{index} = &{{1'b0, n{index}_above}};",
        ]

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


def _primitive(node: Node, span: Range, reads: Sequence[Range]) -> tuple[str, dict[str, int | str]]:
    """The module that does `node`, of interval `span`, and its parameters."""
    if isinstance(node, Negate):
        return "dwell_negate", {**_type("A", reads[0]), "Y_BITS": span.bits}
    if isinstance(node, Cast):
        return "dwell_cast", {**_type("A", reads[0]), **_rule(node, span)}
    if isinstance(node, Lookup):
        return "dwell_lookup", {
            "A_BITS": reads[0].bits, "Y_BITS": span.bits, "VALUES": _planes(node, reads[0], span),
        }  # fmt: skip
    if isinstance(node, ShiftAdd3):
        types = {**_type("A", reads[0]), **_type("B", reads[1]), **_type("C", reads[2])}
        return "dwell_shift_add3", {
            **types, "A_UP": node.a_up, "B_UP": node.b_up, "C_UP": node.c_up, "MINUS_B": int(node.minus_b),
            "MINUS_C": int(node.minus_c), "DROP": node.drop, "Y_BITS": span.bits,
        }  # fmt: skip
    if isinstance(node, ShiftAdd | Less | Select | Product):
        a, b = reads[-2:]
        values: dict[str, int | str] = {**_type("A", a), **_type("B", b)}
        if not isinstance(node, Product):
            values |= {"A_UP": node.a_up, "B_UP": node.b_up}
        if isinstance(node, Less):
            return "dwell_less", values
        values["Y_BITS"] = span.bits
        if isinstance(node, ShiftAdd):
            return "dwell_shift_add", values | {"SUBTRACT": int(node.subtract), "DROP": node.drop}
        return "dwell_select" if isinstance(node, Select) else "dwell_product", values
    raise InternalError(f"no primitive prints a {type(node).__name__}")


def _type(port: str, span: Range) -> dict[str, int]:
    return {f"{port}_BITS": span.bits, f"{port}_SIGNED": int(span.signed)}


def _rule(node: Cast, span: Range) -> dict[str, int]:
    rule = node.rule
    if rule.bits < span.bits:
        raise InternalError(f"a cast to {rule.bits} bits gives values of {span.bits} bits")
    return {
        "RELU": int(rule.relu), "DROP": rule.drop, "UP": rule.up, "ROUND": int(rule.rounding),
        "OVERFLOW": int(rule.overflow), "Y_BITS": rule.bits, "Y_SIGNED": int(rule.signed),
    }  # fmt: skip


def _planes(node: Lookup, address: Range, span: Range) -> str:
    """The table of `dwell_lookup`: one plane a bit; codes that never occur get their nearest neighbour's."""
    entries, last = 1 << address.bits, len(node.values) - 1
    word = 0
    for pattern in range(entries):
        code = pattern - entries if address.signed and 2 * pattern >= entries else pattern
        value = node.values[min(max(code - node.lo, 0), last)]
        for bit in range(span.bits):
            word |= ((value >> bit) & 1) << (bit * entries + pattern)
    return f"{span.bits * entries}'h{word:x}"


def _instance(
    module: str, values: Mapping[str, int | str], name: str, inputs: Mapping[str, str], output: str
) -> str:
    parameters = ", ".join(f".{key}({value})" for key, value in values.items())
    ports = ", ".join(f".{port}({wire})" for port, wire in inputs.items())
    return f"{_INDENT}{module} #({parameters}) {name} ({ports}, .y({output}));"
