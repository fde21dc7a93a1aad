"""Memories of folded layers: weights, start values, steps of tables; what they hold, and their Verilog.

Contents are constants in the Verilog itself, so a memory cannot come up empty because a file was not found.
"""

from __future__ import annotations

from dataclasses import dataclass

from dwell.hls.rtl.verilog.names import identifier

#: Bits of a word on AXI4-Lite.
BUS_BITS = 32

_INDENT = "    "


@dataclass(frozen=True)
class Memory:
    """`words[i]` is what address i of one bank holds, of `width` bits; `reads` the clocks to read one (1 or 2)."""

    layer: str
    kind: str
    width: int
    words: tuple[int, ...]
    reads: int

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.kind}"

    @property
    def depth(self) -> int:
        return len(self.words)

    @property
    def address_bits(self) -> int:
        """Bits of an address in one bank, at least one."""
        return max((self.depth - 1).bit_length(), 1)

    @property
    def chunks(self) -> int:
        """Bus words that make a word."""
        return -(-self.width // BUS_BITS)

    @property
    def chunk_bits(self) -> int:
        return (self.chunks - 1).bit_length()

    @property
    def window_bits(self) -> int:
        """Bits of a bus word's number in the memory's window: address, chunk."""
        return self.address_bits + self.chunk_bits


def packed(codes: list[int], width: int) -> int:
    """Codes side by side, the first lowest, `width` bits each."""
    mask = (1 << width) - 1
    text = "".join(format(code & mask, f"0{width}b") for code in reversed(codes))
    return int(text, 2)


def print_memory(memory: Memory, module: str, header: str, window: int | None, load_bits: int) -> str:
    """The module's text. `window`: number of its first bus word, where it can be written; else None.

    Ports: `clk`; `address`, {bank, address}; `word`, `reads` clocks later. Where it can be written
    also `load`, `load_bank`, `load_address` (a bus word's number in its bank) and `load_data`.
    """
    loads = window is not None
    lines = [
        header + "//",
        f"// {memory.name}: {memory.depth} words of {memory.width} bits" + (", two banks." if loads else "."),
        "`default_nettype none",
        "",
        f"module {module} (",
        f"{_INDENT}input  wire clk,",
        f"{_INDENT}input  wire [{memory.address_bits}:0] address,",
    ]
    if loads:
        lines += [
            f"{_INDENT}input  wire load,",
            f"{_INDENT}input  wire load_bank,",
            f"{_INDENT}input  wire [{load_bits - 1}:0] load_address,",
            f"{_INDENT}input  wire [{BUS_BITS - 1}:0] load_data,",
        ]
    lines += [f"{_INDENT}output wire [{memory.width - 1}:0] word", ");", ""]
    lines += _writable(memory, window, load_bits) if window is not None else _fixed(memory)
    return "\n".join([*lines, "", "endmodule", "", "`default_nettype wire", ""])


def _fixed(memory: Memory) -> list[str]:
    width, bits = memory.width, memory.address_bits
    lines = [f"{_INDENT}reg [{width - 1}:0] memory [0:{(1 << bits) - 1}];"]
    lines += _contents("memory", width, list(memory.words), 1 << bits)
    lines += _read("memory", "word", width, f"address[{bits - 1}:0]", memory.reads)
    return [*lines, f"{_INDENT}wire unused_bank = &{{1'b0, address[{bits}]}};"]


def _writable(memory: Memory, window: int, load_bits: int) -> list[str]:
    bits, inside = memory.address_bits, memory.window_bits
    lines = []
    if load_bits > inside:
        top = load_bits - inside
        lines.append(
            f"{_INDENT}wire mine = load & (load_address[{load_bits - 1}:{inside}] == {top}'d{window >> inside});"
        )
    else:
        lines.append(f"{_INDENT}wire mine = load;")
    place = f"{{load_bank, load_address[{inside - 1}:{memory.chunk_bits}]}}"
    used = 0
    for chunk in range(memory.chunks):
        low, width = chunk * BUS_BITS, min(BUS_BITS, memory.width - chunk * BUS_BITS)
        used = max(used, width)
        name = f"memory_{chunk}"
        bank = [(word >> low) & ((1 << width) - 1) for word in memory.words]
        bank += [0] * ((1 << bits) - len(bank))
        lines += ["", f"{_INDENT}reg [{width - 1}:0] {name} [0:{(2 << bits) - 1}];"]
        lines += _contents(name, width, bank * 2, 2 << bits)
        mine = "mine"
        if memory.chunk_bits:
            mine = f"mine & (load_address[{memory.chunk_bits - 1}:0] == {memory.chunk_bits}'d{chunk})"
        lines.append(
            f"{_INDENT}always @(posedge clk) if ({mine}) {name}[{place}] <= load_data[{width - 1}:0];"
        )
        lines += _read(name, f"word[{low + width - 1}:{low}]", width, "address", memory.reads)
    if used < BUS_BITS:
        lines.append(f"{_INDENT}wire unused_data = &{{1'b0, load_data[{BUS_BITS - 1}:{used}]}};")
    return lines


def _contents(name: str, width: int, words: list[int], places: int) -> list[str]:
    words = words + [0] * (places - len(words))
    digits = -(-width // 4)
    return [
        f"{_INDENT}initial begin",
        *(f"{_INDENT * 2}{name}[{i}] = {width}'h{word:0{digits}x};" for i, word in enumerate(words)),
        f"{_INDENT}end",
    ]


def _read(name: str, target: str, width: int, address: str, reads: int) -> list[str]:
    lines = [f"{_INDENT}reg [{width - 1}:0] {name}_q;"]
    lines.append(f"{_INDENT}always @(posedge clk) {name}_q <= {name}[{address}];")
    if reads == 1:
        return [*lines, f"{_INDENT}assign {target} = {name}_q;"]
    return [
        *lines,
        f"{_INDENT}reg [{width - 1}:0] {name}_held;",
        f"{_INDENT}always @(posedge clk) {name}_held <= {name}_q;",
        f"{_INDENT}assign {target} = {name}_held;",
    ]


def module_name(top: str, memory: Memory) -> str:
    """The name of a memory's module."""
    return f"{top}_{identifier(memory.layer)}_{memory.kind}"
