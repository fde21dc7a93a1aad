"""Pieces of Verilog that blocks print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.stream.layout import Layout

INDENT = "    "

#: Ports that every clocked module has.
CLOCK = {"clk": "aclk", "rst_n": "aresetn"}


def wire(name: str, bits: int = 1) -> str:
    """A declaration; a vector also where it has one bit, so that parts of it can be named."""
    return f"{INDENT}wire [{bits - 1}:0] {name};"


def bits_of(spans: Sequence[Range]) -> int:
    """Bits of codes side by side."""
    return sum(span.bits for span in spans)


def instance(
    module: str, name: str, ports: Mapping[str, str], parameters: Mapping[str, object] | None = None
) -> str:
    """An instance; ports and parameters in their order, a line for each handful."""
    head = f"{INDENT}{module} "
    if parameters:
        head += "#(" + ", ".join(f".{key}({value})" for key, value in parameters.items()) + ") "
    lines = [f"{head}{name} ("]
    items = [f".{port}({signal})" for port, signal in ports.items()]
    for at in range(0, len(items), 4):
        lines.append(f"{INDENT * 2}{', '.join(items[at : at + 4])}{',' if at + 4 < len(items) else ''}")
    return "\n".join([*lines, f"{INDENT});"])


def delay(name: str, source: str, target: str, *, depth: int, bits: int = 1, reset: bool = False) -> str:
    """`target` is `source`, `depth` clocks later."""
    return instance(
        "dwell_delay",
        f"u_{name}",
        {"clk": "aclk", "rst_n": "aresetn", "d": source, "q": target},
        {"BITS": bits, "DEPTH": depth, "RESET": int(reset)},
    )


def unused(name: str, *signals: str) -> str:
    """Signals that go nowhere, and mean to."""
    return f"{INDENT}wire unused_{name} = &{{1'b0, {', '.join(signals)}}};"


def packed_literal(codes: Sequence[int], spans: Sequence[Range]) -> str:
    """Codes side by side as a constant."""
    word, low = 0, 0
    for code, span in zip(codes, spans, strict=True):
        word |= (code & ((1 << span.bits) - 1)) << low
        low += span.bits
    return f"{low}'h{word:x}"


def offsets(spans: Sequence[Range]) -> list[int]:
    """Where each code begins."""
    out, low = [], 0
    for span in spans:
        out.append(low)
        low += span.bits
    return out


def moved(name: str, source: str, target: str, before: Range, after: Range) -> str:
    """A code of one interval on wires of another that holds it."""
    if (before.bits, before.frac) == (after.bits, after.frac):
        return f"{INDENT}assign {target} = {source};"
    return instance(
        "dwell_extend",
        f"u_{name}",
        {"a": source, "y": target},
        {
            "IN_BITS": before.bits,
            "IN_SIGNED": int(before.signed),
            "UP": after.frac - before.frac,
            "OUT_BITS": after.bits,
        },
    )


def joined(name: str, links: Sequence[str], valid: str, ready: str) -> list[str]:
    """A join of links; the marks are those of the first."""
    ports = {
        "in_valid": "{" + ", ".join(f"{link}_valid" for link in reversed(links)) + "}",
        "in_ready": "{" + ", ".join(f"{link}_ready" for link in reversed(links)) + "}",
        "out_valid": valid, "out_ready": ready,
    }  # fmt: skip
    others = [f"{link}_marks" for link in links[1:]]
    return [instance("dwell_join", f"u_{name}_join", ports, {"WAYS": len(links)}), unused(name, *others)]


def side_by_side(layouts: Mapping[str, Layout], links: Sequence[str], target: str) -> list[str]:
    """The pixels of several links, lane by lane."""
    parts = []
    for lane in range(layouts[links[0]].lanes):
        for link in links:
            bits = layouts[link].pixel_bits
            parts.append(f"{link}_data[{(lane + 1) * bits - 1}:{lane * bits}]")
    return [f"{INDENT}assign {target} = {{", *_listed(list(reversed(parts))), f"{INDENT}}};"]


def _listed(parts: list[str]) -> list[str]:
    return [
        f"{INDENT * 2}{', '.join(parts[at : at + 4])}{',' if at + 4 < len(parts) else ''}"
        for at in range(0, len(parts), 4)
    ]
