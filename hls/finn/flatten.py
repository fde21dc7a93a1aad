"""FINN's SystemVerilog as one module of plain Verilog that Verilator, Icarus and Yosys all read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwell.errors import ToolFailedError
from dwell.hls.finn.checks import keep_checks


@dataclass(frozen=True)
class Rewrite:
    """A passage of a library source that a tool cannot read (`old`, a regular expression), and what stands
    for it (`new`); `why` says what the tool does not take."""

    file: str
    old: str
    new: str
    why: str


REWRITES: tuple[Rewrite, ...] = (
    Rewrite(
        "add_multi.sv",
        r"(?s)(\tlocalparam int unsigned  L = .*?)(\t\ttypedef int unsigned  leaf_load_t.*?init_leaf_loads\n)",
        r"\2\1",
        "a constant function declared inside a generate block",
    ),
    *(
        Rewrite(
            file,
            r"(?s)`default_nettype none\n(.*)`default_nettype wire\nendmodule",
            r"\1endmodule",
            "compiler directives inside a module",
        )
        for file in ("vpc.sv", "fifo.sv")
    ),
    Rewrite(
        "thresholding.sv",
        r"p\.ptr\[M-1:SN\+1\] < 2\*\*stage",
        r"(p.ptr[M-1:0] >> (SN+1)) < 2**stage",
        "a selection of no bits, in a branch that is never taken",
    ),
    *(
        Rewrite(
            file,
            r"(?s)\tif\(1\) begin : blkRecoveryWatch\n.*?\tend : blkRecoveryWatch\n",
            "",
            "a watch on the first 100 ns of a real DSP slice, in simulation time",
        )
        for file in ("mvu.sv", "mvu_vvu_8sx9_dsp58.sv")
    ),
)


def rewrite(sources: Path) -> None:
    """Change the copies in `sources`. Raises `ToolFailedError` where a passage is not there as expected."""
    for change in REWRITES:
        file = sources / change.file
        if not file.is_file():
            continue
        text, count = re.subn(change.old, change.new, file.read_text())
        if count != 1:
            raise ToolFailedError(
                "rewriting FINN's library",
                log=file,
                tail=f"{change.file} holds {count} times, not once: {change.why}",
                hint="FINN+ is of another version: dwell env sync finn",
            )
        file.write_text(text)


def flatten_command(args: Mapping[str, Any]) -> dict[str, Any]:
    """`flatten` as a command in a process of its own: `args` are `sources`, `top` and `out`."""
    flatten([Path(source) for source in args["sources"]], str(args["top"]), Path(args["out"]))
    return {"out": args["out"]}


def flatten(sources: list[Path], top: str, out: Path) -> None:
    """One module `top` from SystemVerilog `sources`, memories' contents included, into the file `out`.

    The library's assertions become instances of `dwell_check` (see `checks`).
    """
    from pyosys import libyosys as yosys

    design = yosys.Design()
    files = " ".join(str(path) for path in sources)
    for command in (
        f"read_slang -j 1 --keep-hierarchy --allow-use-before-declare -DVERILATOR --top {top} {files}",
        "hierarchy -check",
        "proc",
        "flatten",
        "bwmuxmap",
        "opt_expr",
        "opt_reduce",  # a memory's word is written by one statement, not by one for each of its bits
        "opt_clean",
    ):
        yosys.run_pass(command, design)
    keep_checks(design.top_module())
    yosys.run_pass(f"write_verilog -noattr {out}", design)
