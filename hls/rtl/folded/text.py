"""Lines of Verilog: instances, wires, slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dwell.hls.rtl.circuit.builder import Range

INDENT = "    "

#: What a link between two islands carries beside its data, with bits.
MARKS = ("first", "last", "bank")


def vector(bits: int) -> str:
    return f"[{bits - 1}:0]"


def instance(module: str, name: str, parameters: Mapping[str, int], ports: Mapping[str, str]) -> list[str]:
    """An instance, its parameters and ports in lines of readable length."""
    lines = [f"{INDENT}{module} #("] if parameters else []
    lines += _wrapped([f".{key}({value})" for key, value in parameters.items()])
    lines += [f"{INDENT}) {name} ("] if parameters else [f"{INDENT}{module} {name} ("]
    lines += _wrapped([f".{key}({value})" for key, value in ports.items()])
    return [*lines, f"{INDENT});"]


def _wrapped(items: Sequence[str], width: int = 110) -> list[str]:
    lines: list[str] = []
    line = ""
    for number, item in enumerate(items):
        piece = item + ("," if number < len(items) - 1 else "")
        if line and len(line) + len(piece) + 1 > width - 2 * len(INDENT):
            lines.append(INDENT * 2 + line)
            line = piece
        else:
            line = f"{line} {piece}".strip()
    return [*lines, INDENT * 2 + line] if line else lines


def delay(name: str, depth: int, source: str, target: str, bits: int, *, reset: bool = False) -> list[str]:
    parameters = {"BITS": bits, "DEPTH": depth, "RESET": int(reset)}
    ports = {"clk": "aclk", "rst_n": "aresetn", "d": source, "q": target}
    return instance("dwell_delay", name, parameters, ports)


def wires(prefix: str, bits: Mapping[str, int]) -> list[str]:
    """Declarations of `prefix`_name for each name; `data` is a vector, be it of one bit."""
    flags = [f"{prefix}_{name}" for name in bits if name != "data"]
    wide = [
        f"{INDENT}wire {vector(count)} {prefix}_{name};" for name, count in bits.items() if name == "data"
    ]
    return [f"{INDENT}wire {', '.join(flags)};", *wide]


def link_ports(prefix: str, bits: int, direction: str) -> list[str]:
    """Port declarations of a link; `direction` is that of its data, with `ready` the other way."""
    other = "input " if direction == "output" else "output"
    here = direction.ljust(6)
    return [
        f"{INDENT}{here} wire {prefix}_valid,",
        f"{INDENT}{other} wire {prefix}_ready,",
        *(f"{INDENT}{here} wire {prefix}_{mark}," for mark in MARKS),
        f"{INDENT}{here} wire {vector(bits)} {prefix}_data,",
    ]


def extended(
    source: str, spans: Sequence[Range], target: str, element: Range, instance_name: str
) -> list[str]:
    """Elements packed at their own widths brought to one width and binary point."""
    lines, low, bits = [], 0, element.bits
    for number, span in enumerate(spans):
        lines.append(
            f"{INDENT}dwell_extend #(.IN_BITS({span.bits}), .IN_SIGNED({int(span.signed)}), "
            f".UP({element.frac - span.frac}), .OUT_BITS({bits})) {instance_name}{number} "
            f"(.a({source}[{low + span.bits - 1}:{low}]), "
            f".y({target}[{(number + 1) * bits - 1}:{number * bits}]));"
        )
        low += span.bits
    return lines


def module_text(
    header: str, remarks: Iterable[str], name: str, ports: Sequence[str], body: Sequence[str]
) -> str:
    """A module; the last port's comma goes."""
    declared = [*ports[:-1], ports[-1].rstrip(",")]
    return "\n".join(
        [
            header + "//",
            *(f"// {line}" for line in remarks),
            "`default_nettype none",
            "",
            f"module {name} (",
            *declared,
            ");",
            "",
            *body,
            "",
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )
