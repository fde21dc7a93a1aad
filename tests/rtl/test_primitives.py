"""The combinational primitives, exhaustively at small widths, in Icarus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyosys
import pytest
from rtl_icarus import simulate

from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
from dwell.hls.qmodel.arithmetic import cast_codes
from dwell.hls.rtl import library_files
from dwell.hls.rtl.design.device_cells import device_sources

pytestmark = pytest.mark.rtl

Parameters = dict[str, int]

ROUNDINGS = [
    Rounding.TRN, Rounding.RND, Rounding.RND_CONV, Rounding.TRN_ZERO,
    Rounding.RND_ZERO, Rounding.RND_INF, Rounding.RND_MIN_INF,
]  # fmt: skip
OVERFLOWS = [Overflow.WRAP, Overflow.SAT, Overflow.SAT_SYM, Overflow.SAT_ZERO]


def codes(bits: int, signed: int) -> list[int]:
    """Every number of a type, in the order of its bit patterns."""
    return [v - (1 << bits) if signed and v >> (bits - 1) else v for v in range(1 << bits)]


def outputs(
    folder: Path,
    module: str,
    variants: Sequence[Parameters],
    operands: Sequence[str],
    ties: str = "",
    sources: Sequence[Path] = (),
) -> list[list[int]]:
    """The y of every variant for every pattern of its operands (the last one fastest), one bench for all.

    `ties` connects further ports; a parameter with a name in small letters is none of the module's.
    """
    lines = ["`timescale 1ns / 1ps", "module bench;", "    integer i, j;"]
    for number, values in enumerate(variants):
        settings = ", ".join(f".{key}({value})" for key, value in values.items() if key.isupper())
        ports = ties + ", ".join(f".{name}({name}{number})" for name in operands)
        for name in operands:
            lines.append(f"    reg [{values[f'{name.upper()}_BITS'] - 1}:0] {name}{number};")
        lines.append(f"    wire [{result_bits(values) - 1}:0] y{number};")
        lines.append(f"    {module} #({settings}) u{number} ({ports}, .y(y{number}));")
    lines.append("    initial begin")
    for number, values in enumerate(variants):
        first, second = f"{operands[0]}{number}", f"{operands[-1]}{number}"
        inner = f'#1 $display("{number} %0d", y{number});'
        if len(operands) == 2:
            count = 1 << values[f"{operands[1].upper()}_BITS"]
            inner = f"for (j = 0; j < {count}; j = j + 1) begin {second} = j; {inner} end"
        count = 1 << values[f"{operands[0].upper()}_BITS"]
        lines.append(f"        for (i = 0; i < {count}; i = i + 1) begin {first} = i; {inner} end")
    lines += ["    end", "endmodule", ""]
    bench = folder / "bench.v"
    bench.write_text("\n".join(lines))
    found: list[list[int]] = [[] for _ in variants]
    for line in simulate(folder, [bench, *(sources or library_files())], "bench"):
        number, value = line.split()
        found[int(number)].append(int(value))
    return found


def result_bits(values: Parameters) -> int:
    return values.get("Y_BITS", values.get("y_bits", 0))


def check(
    folder: Path,
    module: str,
    variants: Sequence[Parameters],
    operands: Sequence[str],
    wanted: Callable[[Parameters], Sequence[int]],
    ties: str = "",
    sources: Sequence[Path] = (),
) -> None:
    """Every output of every variant against `wanted`, modulo the bits of y."""
    for values, got in zip(variants, outputs(folder, module, variants, operands, ties, sources), strict=True):
        mask = (1 << result_bits(values)) - 1
        assert got == [int(v) & mask for v in wanted(values)], values


def sums(values: Parameters) -> list[int]:
    """What `dwell_shift_add` is for."""
    sign = -1 if values["SUBTRACT"] else 1
    return [
        ((a << values["A_UP"]) + sign * (b << values["B_UP"])) >> values["DROP"]
        for a in codes(values["A_BITS"], values["A_SIGNED"])
        for b in codes(values["B_BITS"], values["B_SIGNED"])
    ]


def test_shift_add(tmp_path: Path) -> None:
    grid = itertools.product(
        (1, 3), (0, 1), (1, 4), (0, 1), ((0, 0), (0, 1), (0, 3), (1, 0), (3, 0), (0, 6)), (0, 1), (3, 9)
    )
    variants = [
        {
            "A_BITS": a, "A_SIGNED": sa, "A_UP": ups[0], "B_BITS": b, "B_SIGNED": sb, "B_UP": ups[1],
            "SUBTRACT": minus, "DROP": 0, "Y_BITS": y,
        }
        for a, sa, b, sb, ups, minus, y in grid
    ]  # fmt: skip
    variants += [{**v, "DROP": 2, "Y_BITS": 5} for v in variants[:: len(variants) // 40]]
    check(tmp_path, "dwell_shift_add", variants, ("a", "b"), sums)


UPS = ((0, 0), (0, 2), (3, 0))


def pairs(y_bits: Sequence[int], ups: Sequence[tuple[int, int]] = UPS) -> list[Parameters]:
    """Operands of a few widths, signs and places."""
    return [
        {"A_BITS": a, "A_SIGNED": sa, "A_UP": up[0], "B_BITS": b, "B_SIGNED": sb, "B_UP": up[1], "Y_BITS": y}
        for a, sa, b, sb, up, y in itertools.product((1, 4), (0, 1), (1, 3), (0, 1), ups, y_bits)
    ]


def operands_of(values: Parameters) -> list[tuple[int, int]]:
    return [
        (a << values.get("A_UP", 0), b << values.get("B_UP", 0))
        for a in codes(values["A_BITS"], values["A_SIGNED"])
        for b in codes(values["B_BITS"], values["B_SIGNED"])
    ]


def sums_of_three(values: Parameters) -> list[int]:
    """What `dwell_shift_add3` is for, over the operands b and c, with a tied to `a_code`."""
    sign_b, sign_c = (-1 if values[key] else 1 for key in ("MINUS_B", "MINUS_C"))
    a = values["a_code"] << values["A_UP"]
    return [
        (a + sign_b * (b << values["B_UP"]) + sign_c * (c << values["C_UP"])) >> values["DROP"]
        for b in codes(values["B_BITS"], values["B_SIGNED"])
        for c in codes(values["C_BITS"], values["C_SIGNED"])
    ]


@pytest.mark.parametrize("cells", ["library", "xc7"])
@pytest.mark.parametrize("a_code", [5, 11])
def test_shift_add3(tmp_path: Path, a_code: int, cells: str) -> None:
    """The library's text, and what stands in for it in the cells of a 7-series slice."""
    ups = ((0, 0, 0), (0, 2, 1), (2, 0, 4), (3, 1, 0), (0, 5, 5))
    grid = itertools.product(ups, (0, 1), (0, 1), (3,), (0, 1), (2, 4), (2, 10))
    variants = [
        {
            "A_BITS": 4, "A_SIGNED": 0, "A_UP": up[0], "B_BITS": b, "B_SIGNED": signed, "B_UP": up[1],
            "C_BITS": c, "C_SIGNED": 1 - signed, "C_UP": up[2], "MINUS_B": minus_b, "MINUS_C": minus_c,
            "DROP": 0, "Y_BITS": y, "a_code": a_code,
        }
        for up, minus_b, minus_c, b, signed, c, y in grid
    ]  # fmt: skip
    variants += [{**v, "DROP": 1, "Y_BITS": v["Y_BITS"] - 1} for v in variants[::17]]
    sources = library_files()
    if cells == "xc7":
        cell_models = Path(pyosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
        sources = [*device_sources(sources, "xc7"), cell_models]
        assert any(source.parent.name == "xc7" for source in sources)
    tie = f".a(4'd{a_code}), "
    check(tmp_path, "dwell_shift_add3", variants, ("b", "c"), sums_of_three, tie, sources)


def test_less(tmp_path: Path) -> None:
    variants = [{k if k != "Y_BITS" else "y_bits": v for k, v in values.items()} for values in pairs((1,))]
    check(tmp_path, "dwell_less", variants, ("a", "b"), lambda v: [int(a < b) for a, b in operands_of(v)])


@pytest.mark.parametrize("bit", [0, 1])
def test_select(tmp_path: Path, bit: int) -> None:
    check(
        tmp_path,
        "dwell_select",
        pairs((2, 5, 9)),
        ("a", "b"),
        lambda v: [a if bit else b for a, b in operands_of(v)],
        f".c(1'b{bit}), ",
    )


def test_product(tmp_path: Path) -> None:
    variants = [
        {key: value for key, value in v.items() if not key.endswith("_UP")}
        for v in pairs((2, 7, 11), ((0, 0),))
    ]
    check(tmp_path, "dwell_product", variants, ("a", "b"), lambda v: [a * b for a, b in operands_of(v)])


@pytest.mark.parametrize(("bits", "y_bits"), [(1, 1), (3, 4), (6, 9), (8, 1)])
def test_lookup(tmp_path: Path, bits: int, y_bits: int) -> None:
    entries = [int(v) for v in np.random.default_rng(bits).integers(0, 1 << y_bits, 1 << bits)]
    word = sum(
        ((entry >> bit) & 1) << (bit * len(entries) + at)
        for at, entry in enumerate(entries)
        for bit in range(y_bits)
    )
    variant: dict[str, object] = {"A_BITS": bits, "Y_BITS": y_bits, "VALUES": f"{y_bits << bits}'h{word:x}"}
    assert outputs(tmp_path, "dwell_lookup", [variant], ("a",)) == [entries]  # type: ignore[list-item]


def test_negate(tmp_path: Path) -> None:
    variants = [
        {"A_BITS": a, "A_SIGNED": s, "Y_BITS": y}
        for a in (1, 2, 5)
        for s in (0, 1)
        for y in (1, a, a + 1, a + 4)
    ]
    check(
        tmp_path, "dwell_negate", variants, ("a",), lambda v: [-a for a in codes(v["A_BITS"], v["A_SIGNED"])]
    )


def cast(values: Parameters) -> list[int]:
    """The golden model's cast with the same parameters."""
    source = np.array(codes(values["A_BITS"], values["A_SIGNED"]), dtype=np.int64)
    if values["RELU"]:
        source = np.maximum(source, 0)
    frac = values["DROP"] - values["UP"]
    kind = FixedPoint(bool(values["Y_SIGNED"]), values["Y_BITS"], 0)
    mode, over = ROUNDINGS[values["ROUND"]], OVERFLOWS[values["OVERFLOW"]]
    return [int(v) for v in cast_codes(source, frac, [kind], 0, mode, over)]


@pytest.mark.parametrize("over", range(4))
def test_cast(tmp_path: Path, over: int) -> None:
    grid = itertools.product(
        (1, 4, 6),
        (0, 1),
        (0, 1),
        ((0, 0), (1, 0), (2, 0), (3, 0), (7, 0), (0, 2)),
        range(7),
        (1, 2, 3, 5),
        (0, 1),
    )
    variants = [
        {
            "A_BITS": a, "A_SIGNED": sa, "RELU": relu, "DROP": shift[0], "UP": shift[1], "ROUND": mode,
            "OVERFLOW": over, "Y_BITS": y, "Y_SIGNED": sy,
        }
        for a, sa, relu, shift, mode, y, sy in grid
        if mode == 0 or shift[0] > 0
    ]  # fmt: skip
    check(tmp_path, "dwell_cast", variants[over::3], ("a",), cast)


def test_half_to_even_after_half_has_been_added(tmp_path: Path) -> None:
    """ROUND 7 on a + half is ROUND 2 on a, with and without RELU."""
    for relu, drop in itertools.product((0, 1), (1, 2, 3)):
        variant = {
            "A_BITS": 7, "A_SIGNED": 1, "RELU": relu, "DROP": drop, "UP": 0, "ROUND": 7, "OVERFLOW": 1,
            "Y_BITS": 3, "Y_SIGNED": 1,
        }  # fmt: skip
        half = 1 << (drop - 1)
        before = np.array(codes(7, 1), dtype=np.int64) - half
        before = np.maximum(before, 0) if relu else before
        wanted = cast_codes(before, drop, [FixedPoint(True, 3, 0)], 0, Rounding.RND_CONV, Overflow.SAT)
        got = outputs(tmp_path, "dwell_cast", [variant], ("a",))[0]
        assert got == [int(v) & 7 for v in wanted], variant
