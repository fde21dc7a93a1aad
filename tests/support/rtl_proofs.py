"""Modules of the library proved by induction: ports and invariants are added to their text; Yosys does the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dwell.hls.rtl import library_files

FORMAL = Path(__file__).parents[1] / "rtl" / "formal"

_YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
top, parameters, *files = sys.argv[1:]
for command in (
    f"read_verilog -formal {' '.join(files)}",
    f"chparam {parameters} {top}",
    f"prep -top {top} -flatten",
    "memory_map", "opt -full", "async2sync", "chformal -lower", "opt_clean",
    "sat -verify -prove-asserts -tempinduct -maxsteps 12 -timeout 240",
):
    ys.run_pass(command, design)
print("PROVED")
"""


@dataclass(frozen=True)
class Proof:
    """A module of the library, the file in `formal/` that drives it, what is added to its text, and what it uses.

    `ports` go before its others, `invariants` before its `endmodule`.
    """

    module: str
    driver: str
    ports: str
    invariants: str
    uses: tuple[str, ...] = ()


def prove(
    folder: Path,
    proof: Proof,
    parameters: Mapping[str, int],
    *,
    old: str = "",
    new: str = "",
    library: Iterable[Path] | None = None,
) -> bool:
    """Whether the module with `parameters`, and with `old` replaced by `new`, is proved.

    `library` has the modules, by default that of the `rtl` back end.
    """
    modules = {file.stem: file for file in library or library_files()}
    text = modules[proof.module].read_text()
    if old:
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert text.count(") (\n") == 1 and text.count("\nendmodule\n") == 1
    text = text.replace(") (\n", f") (\n{proof.ports}\n")
    file = folder / f"{proof.module}.v"
    file.write_text(text.replace("\nendmodule\n", f"\n{proof.invariants}\nendmodule\n"))
    files = [FORMAL / f"{proof.driver}.v", file, *(modules[name] for name in proof.uses)]
    values = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    done = subprocess.run(
        [sys.executable, "-c", _YOSYS, proof.driver, values, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert "PROVED" in said or "ERROR: Called with -verify" in said, said[-3000:]
    return "PROVED" in done.stdout
