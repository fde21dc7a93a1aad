"""Parts of folded layers: products, the buffer of vectors, memories as synthesis maps them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rtl_icarus import simulate

from dwell.hls.rtl import library_files
from dwell.hls.rtl.folded.memory import Memory, print_memory

pytestmark = pytest.mark.rtl


def codes(bits: int, signed: bool) -> list[int]:
    """Every number of a type, in the order of its bit patterns."""
    return [v - (1 << bits) if signed and v >> (bits - 1) else v for v in range(1 << bits)]


def test_products_exhaustively(tmp_path: Path) -> None:
    grid = list(itertools.product((1, 2, 4), (0, 1), (1, 3, 5), (0, 1), (0, 1)))
    lines = ["`timescale 1ns / 1ps", "module bench;", "    integer i, j;"]
    for n, (a, sa, b, sb, rows) in enumerate(grid):
        lines += [
            f"    reg [{a - 1}:0] a{n}; reg [{b - 1}:0] b{n}; wire [{a + b - 1}:0] y{n};",
            f"    dwell_multiply #(.A_BITS({a}), .A_SIGNED({sa}), .B_BITS({b}), .B_SIGNED({sb}), .ROWS({rows})) "
            f"u{n} (.a(a{n}), .b(b{n}), .y(y{n}));",
        ]
    lines.append("    initial begin")
    for n, (a, _, b, _, _) in enumerate(grid):
        lines.append(
            f"        for (i = 0; i < {1 << a}; i = i + 1) for (j = 0; j < {1 << b}; j = j + 1) begin "
            f'a{n} = i; b{n} = j; #1 $display("{n} %0d", y{n}); end'
        )
    lines += ["    end", "endmodule", ""]
    bench = tmp_path / "bench.v"
    bench.write_text("\n".join(lines))
    found: list[list[int]] = [[] for _ in grid]
    for line in simulate(tmp_path, [bench, *library_files()], "bench"):
        number, value = line.split()
        found[int(number)].append(int(value))
    for (a, sa, b, sb, rows), got in zip(grid, found, strict=True):
        mask = (1 << (a + b)) - 1
        wanted = [x * y & mask for x in codes(a, bool(sa)) for y in codes(b, bool(sb))]
        assert got == wanted, (a, sa, b, sb, rows)


def mapped(folder: Path, sources: list[Path], top: str, settings: dict[str, int]) -> dict[str, int]:
    """Cells that Yosys maps a module to."""
    program = (
        "import sys, json\nfrom pyosys import libyosys as ys\n"
        "design = ys.Design()\n"
        "ys.run_pass(f'read_verilog {sys.argv[1]}', design)\n"
        "ys.run_pass(f'hierarchy -top {sys.argv[2]} {sys.argv[3]}', design)\n"
        "ys.run_pass(f'synth_xilinx -family xc7 -flatten -noiopad -noclkbuf', design)\n"
        "ys.run_pass(f'tee -q -o {sys.argv[4]} stat -json', design)\n"
    )
    report = folder / "stat.json"
    chosen = " ".join(f"-chparam {key} {value}" for key, value in settings.items())
    done = subprocess.run(
        [sys.executable, "-c", program, " ".join(map(str, sources)), top, chosen, str(report)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    import json

    cells: dict[str, int] = json.loads(report.read_text())["design"]["num_cells_by_type"]
    return cells


def test_a_deep_memory_is_block_ram_with_its_contents(tmp_path: Path) -> None:
    words = tuple(int(v) for v in np.random.default_rng(0).integers(1, 1 << 36, 1024))
    memory = Memory("layer", "weights", 36, words, 2)
    for window in (None, 0):
        source = tmp_path / "memory.v"
        source.write_text(print_memory(memory, "memory", "// a memory\n", window, 12))
        cells = mapped(tmp_path, [source], "memory", {})
        assert cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) >= 1, cells


@pytest.mark.parametrize(("rows", "slices"), [(0, True), (1, False)])
def test_products_in_slices_or_in_logic(rows: int, slices: bool, tmp_path: Path) -> None:
    settings = {"A_BITS": 12, "A_SIGNED": 1, "B_BITS": 12, "ROWS": rows}
    cells = mapped(tmp_path, library_files(), "dwell_multiply", settings)
    assert bool(cells.get("DSP48E1", 0)) == slices, cells


SHAPES = [  # elements, lanes in, lanes out, slots
    (12, 4, 4, 2), (12, 12, 3, 1), (12, 12, 12, 1), (12, 12, 12, 2), (12, 1, 6, 2), (12, 6, 2, 4),
    (12, 4, 6, 2), (24, 6, 4, 2), (10, 5, 2, 2), (6, 3, 2, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_buffer_gives_every_part_of_every_vector(
    shape: tuple[int, int, int, int], tmp_path: Path
) -> None:
    """Vectors that count up come in with pauses; each is read twice over, and its marks with it."""
    size, lanes, parts, slots = shape
    word = int(np.lcm(lanes, parts))
    words, picks = size // word, word // parts
    word_bits, pick_bits = (max((n - 1).bit_length(), 1) for n in (words, picks))
    bench = tmp_path / "bench.v"
    bench.write_text(f"""\
`timescale 1ns / 1ps
module bench;
    reg clk = 0, rst_n = 0, in_valid = 0, step = 0;
    always #5 clk = ~clk;
    integer seed = 3, sent = 0, i, vectors = 0, clock = 0;
    reg [{lanes * 8 - 1}:0] in_data;
    reg in_first, in_last;
    wire in_ready, full, first, last, bank;
    wire [{parts * 8 - 1}:0] data;
    reg [{word_bits - 1}:0] word;
    reg [{pick_bits - 1}:0] pick;
    reg turn;
    wire at_end = turn & (pick == {picks - 1}) & (word == {words - 1});
    wire start = full & (~step | at_end);
    dwell_vector_buffer #(.BITS(8), .SIZE({size}), .IN_LANES({lanes}), .OUT_LANES({parts}), .WORD({word}),
        .SLOTS({slots})) dut (
        .clk(clk), .rst_n(rst_n), .in_valid(in_valid), .in_ready(in_ready), .in_first(in_first),
        .in_last(in_last), .in_bank(in_first), .in_data(in_data), .full(full), .start(start), .word(word),
        .pick(pick), .finish(step & at_end), .first(first), .last(last), .bank(bank), .data(data));
    reg [2:0] step_q = 0;
    always @(posedge clk) begin
        clock <= clock + 1;
        if (clock == 3) rst_n <= #1 1;
        if (clock == 900) $finish;
        if (rst_n && (!in_valid || in_ready)) begin
            if ($unsigned($random(seed)) % 3) begin
                for (i = 0; i < {lanes}; i = i + 1) in_data[i*8 +: 8] <= #1 sent * {lanes} + i;
                in_first <= #1 (sent / {size // lanes}) % 3 == 0;
                in_last <= #1 (sent / {size // lanes}) % 3 == 1;
                in_valid <= #1 1;
                sent = sent + 1;
            end else in_valid <= #1 0;
        end
        step <= #1 rst_n & (start | (step & ~at_end));
        if (start) begin
            {{turn, word, pick}} <= #1 0;
        end else begin
            pick <= #1 pick == {picks - 1} ? 0 : pick + 1;
            if (pick == {picks - 1}) word <= #1 word == {words - 1} ? 0 : word + 1;
            if (pick == {picks - 1} && word == {words - 1}) turn <= #1 1;
        end
        step_q <= {{step_q[1:0], step & rst_n}};
        if (step & at_end) begin
            $display("MARKS %0d %b%b%b", vectors, first, last, bank);
            vectors = vectors + 1;
        end
        if (step_q[1]) $display("DATA %h", data);
    end
endmodule
""")
    lines = simulate(tmp_path, [bench, *library_files()], "bench")
    marks = [line.split()[2] for line in lines if line.startswith("MARKS")]
    kinds = {0: "101", 1: "010", 2: "000"}
    assert len(marks) >= 10 and marks == [kinds[n % 3] for n in range(len(marks))]
    got = [int(line.split()[1], 16) for line in lines if line.startswith("DATA")]
    wanted = []
    for vector in range(len(marks)):
        for _ in range(2):
            for part in range(size // parts):
                values = [(vector * size + part * parts + i) & 255 for i in range(parts)]
                wanted.append(sum(v << (8 * i) for i, v in enumerate(values)))
    count = min(len(got), len(wanted))
    assert count > 30 and got[:count] == wanted[:count]
