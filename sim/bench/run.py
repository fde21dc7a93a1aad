"""Building and running the bench on one simulator, from outside of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from dwell.artifact import file_digest, json_digest
from dwell.errors import ToolFailedError, ToolNotFoundError
from dwell.sim.beats import Beats
from dwell.sim.dut import Dut
from dwell.sim.process import log_tail, run_child
from dwell.sim.toolchain import find_compiler, find_icarus, find_verilator
from dwell.sim.verilated import CoreRun
from dwell.sim.verilated.cache import cache_root, cached, keep_log
from dwell.sim.verilated.run import CHECK

BUILD_LIMIT_S = 600.0
_SLOWEST_CLOCKS_PER_S = 50.0
_LIBRARY = "bench-library"


@dataclass(frozen=True)
class Simulator:
    """A simulator that cocotb can drive: cocotb's name for it, how results name it, its environment."""

    name: str
    label: str
    version: str
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Swap:
    """New weights: once `after` beats were taken, write (address, word) each, then `control`.

    `refused` is an address of the bank in use then: a write to it has to be refused.
    """

    after: int
    writes: tuple[tuple[int, int], ...]
    control: tuple[int, int]
    refused: int


@dataclass(frozen=True)
class Phase:
    """Beats to send and beats to expect, in about `clocks` clocks at full speed.

    `cut` is after how many beats the reset comes, where one does, `stop` the clocks of a long stall. With
    `swaps`, `others` are the beats that the networks after the first would give, and `result_starts` where each
    frame's results begin, and the end.
    """

    name: str
    sent: Beats
    expected: Beats
    clocks: int
    cut: int = 0
    stop: int = 0
    swaps: tuple[Swap, ...] = ()
    others: tuple[Beats, ...] = ()
    result_starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What one run of the bench left: records by phase, failure texts by test, the JUnit file, and assertions of
    the design that did not hold."""

    records: Mapping[str, CoreRun]
    failures: Mapping[str, str]
    passed: frozenset[str]
    junit: Path
    assertions: tuple[str, ...] = ()


def verilator_simulator() -> Simulator:
    """Verilator for cocotb. Raises `ToolNotFoundError` as `find_verilator` does, or without g++ or make."""
    verilator = find_verilator()
    find_compiler()
    return Simulator("verilator", verilator.label, verilator.version, verilator.environment())


def icarus_simulator() -> Simulator:
    """Icarus Verilog for cocotb. Raises `ToolNotFoundError` where it is absent."""
    tool = find_icarus()
    if tool is None:
        raise ToolNotFoundError("Icarus Verilog is missing", hint="apt install iverilog", place="iverilog")
    return Simulator("icarus", f"Icarus {tool.version}", tool.version, tool.environment())


def build_bench(dut: Dut, simulator: Simulator, *, waves: bool = False) -> Path:
    """The folder of the built simulator, from the cache if it is there.

    Raises `ToolFailedError` when the build fails.
    """
    launcher = resources.files("dwell.sim.bench").joinpath("launch.py").read_text()
    tools = {
        "launcher": json_digest(launcher),
        "cocotb": [metadata.version("cocotb"), sys.prefix],
        "simulator": [simulator.label, find_compiler().version if simulator.name == "verilator" else ""],
        "waves": [waves, _fst_headers()],
    }
    sources = {path.name: file_digest(path) for path in dut.sources}
    key = json_digest({"top": dut.top, "sources": sources, **tools})
    library = json_digest(tools)[:32]

    def make(directory: Path) -> None:
        job = {
            "action": "build",
            "simulator": simulator.name,
            "sources": [str(path.resolve()) for path in dut.sources],
            "top": dut.top,
            "build_dir": str(directory),
            "waves": waves,
            "fst": _fst_headers(),
            "weights": bool(dut.weights),
        }
        log = directory / "build.log"
        path = directory / "job.json"
        path.write_text(json.dumps(job))
        _bring_library(library, directory)
        env = _environ(simulator, directory)
        done = run_child(_launch(path), log=log, timeout_s=BUILD_LIMIT_S, cwd=directory, env=env)
        if done.status != 0:
            kept = keep_log(log)
            raise ToolFailedError(simulator.label, log=kept, tail=log_tail(kept))
        if simulator.name == "verilator":
            _keep_library(library, directory)
        _keep_only(directory, {dut.top, "sim.vvp", "cmds.f", "build.log"})

    return cached(f"bench-{simulator.name}", key[:32], make)


def run_bench(
    dut: Dut,
    simulator: Simulator,
    phases: Sequence[Phase],
    *,
    build: Path,
    folder: Path,
    seed: int,
    waves: Path | None = None,
) -> Outcome:
    """Play `phases` in `folder`, which keeps the log, the records and the JUnit file.

    `waves` names the file for the waves, of which `build` has to be capable.

    Raises `ToolFailedError` when the simulator crashes or hangs, so that no outcome comes out of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for phase in phases:
        np.savez(
            folder / f"phase_{phase.name}.npz",
            in_data=phase.sent.data,
            in_flags=phase.sent.flags,
            out_data=phase.expected.data,
            out_flags=phase.expected.flags,
            cut=np.int64(phase.cut),
            stop=np.int64(phase.stop),
            swaps=np.array(json.dumps([asdict(swap) for swap in phase.swaps])),
            others=np.array([beats.data for beats in phase.others], dtype=np.uint8),
            result_starts=np.array(phase.result_starts, dtype=np.int64),
        )
    junit, log, path = folder / "junit.xml", folder / "bench.log", folder / "job.json"
    job: dict[str, Any] = {
        "action": "test",
        "simulator": simulator.name,
        "top": dut.top,
        "build_dir": str(build),
        "folder": str(folder),
        "path": str(path),
        "junit": str(junit),
        "tests": [phase.name for phase in phases],
        "out_bytes": dut.output.size,
        "settle_clocks": dut.settle_clocks,
        "seed": seed,
        "waves_file": str(waves) if waves else "",
    }
    path.write_text(json.dumps(job))
    clocks = sum(4 * max(phase.clocks, len(phase.sent) + len(phase.expected)) for phase in phases)
    clocks += sum(phase.stop * len(phase.expected) for phase in phases)
    clocks += len(phases) * dut.settle_clocks
    limit_s = 120.0 + clocks / _SLOWEST_CLOCKS_PER_S
    done = run_child(_launch(path), log=log, timeout_s=limit_s, cwd=folder, env=_environ(simulator, folder))
    if not junit.is_file():
        kept = keep_log(log)
        why = f"stopped after {limit_s:.0f} s" if done.timed_out else f"exit status {done.status}"
        raise ToolFailedError(f"the bench on {simulator.label}", log=kept, tail=f"{log_tail(kept)}\n{why}")
    failures, passed = _read_junit(junit)
    return Outcome(_read_records(folder, phases), failures, passed, junit, _broken(log))


def _broken(log: Path) -> tuple[str, ...]:
    """The assertions that a simulator's output tells of. A line of the bench may stand before one."""
    lines = log.read_text(errors="replace").splitlines()
    return tuple(dict.fromkeys(line.split(CHECK, 1)[1].strip() for line in lines if CHECK in line))


def waves_suffix(simulator: Simulator) -> str:
    """What kind of waves a simulator writes here."""
    return ".fst" if simulator.name == "icarus" or _fst_headers() else ".vcd"


def _bring_library(key: str, directory: Path) -> None:
    """Put Verilator's own objects, the same for every design, where make finds them: half the time."""
    # They have to be newer than the makefile that Verilator is about to write.
    later = time.time() + BUILD_LIMIT_S
    for found in sorted((cache_root() / _LIBRARY / key).glob("verilated*.o")):
        copy = directory / found.name
        shutil.copyfile(found, copy)
        os.utime(copy, (later, later))


def _keep_library(key: str, directory: Path) -> None:
    def make(library: Path) -> None:
        for found in directory.glob("verilated*.o"):
            shutil.copyfile(found, library / found.name)

    cached(_LIBRARY, key, make)


def _keep_only(directory: Path, names: set[str]) -> None:
    for path in directory.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _launch(job: Path) -> list[str]:
    return [sys.executable, "-m", "dwell.sim.bench.launch", str(job)]


def _environ(simulator: Simulator, folder: Path) -> dict[str, str]:
    """The simulator's environment, with our Verilator the first on PATH: the runner looks for it there."""
    env = dict(simulator.environ)
    if simulator.name == "verilator":
        tool = find_verilator().tool
        shim = folder / "tools"
        shim.mkdir(exist_ok=True)
        script = shim / "verilator"
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in tool.command)
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        script.chmod(0o755)
        env["PATH"] = f"{shim}{os.pathsep}{env.get('PATH', '')}"
    return env


def _fst_headers() -> bool:
    """Whether Verilator can be built with FST waves here: it needs the headers of lz4 and zlib."""
    return all(
        any((Path(d) / h).is_file() for d in ("/usr/include", "/usr/local/include"))
        for h in ("lz4.h", "zlib.h")
    )


def _read_junit(path: Path) -> tuple[dict[str, str], frozenset[str]]:
    failures: dict[str, str] = {}
    passed = set()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = str(case.get("name"))
        bad = next((child for child in case if child.tag in ("failure", "error")), None)
        if bad is not None:
            failures[name] = str(bad.get("message") or bad.text or bad.tag).strip()
        elif case.find("skipped") is None:
            passed.add(name)
    return failures, frozenset(passed)


def _read_records(folder: Path, phases: Sequence[Phase]) -> dict[str, CoreRun]:
    records = {}
    for phase in phases:
        path = folder / f"record_{phase.name}.npz"
        if not path.is_file():
            continue
        with np.load(path) as found:
            clocks = int(max([0, *found["in_clocks"][-1:].tolist(), *found["out_clocks"][-1:].tolist()])) + 1
            beats = Beats(found["data"], found["flags"])
            records[phase.name] = CoreRun(
                beats, found["in_clocks"], found["out_clocks"], clocks, 0.0, "", 0, found["marks"]
            )
    return records


def merge_junit(parts: Mapping[str, Path], out: Path) -> None:
    """One JUnit file of several runs, each suite named after its simulator."""
    root = ElementTree.Element("testsuites")
    for name, path in parts.items():
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            suite.set("name", name)
            root.append(suite)
    ElementTree.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)
