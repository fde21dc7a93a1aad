"""Verilog to a program: Verilator, then g++ on its output and on the bulk driver."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from dwell.artifact import file_digest, json_digest
from dwell.errors import ToolFailedError
from dwell.sim.process import log_tail, run_child, usable_cpus
from dwell.sim.toolchain import Compiler, Verilator, find_compiler, find_verilator
from dwell.sim.verilated.cache import cached, keep_log

BUILD_LIMIT_S = 600.0
"""A build that takes longer is given up."""

# Registers that nothing resets start with random bits (the driver seeds them): a design that needs them to
# be zero fails here as it may in the device. Warnings are for lint; here they must not stop a comparison.
_VERILATOR_FLAGS = (
    "--cc", "--prefix", "Vdut", "-O3", "--x-assign", "fast", "--x-initial", "unique",
    "--noassert", "--no-timing", "--output-split", "5000", "--output-split-cfuncs", "500", "-Wno-fatal",
)  # fmt: skip
_COMPILER_FLAGS = ("-std=gnu++17", "-fno-var-tracking", "-pthread")
_RUNTIME_SOURCES = ("verilated.cpp", "verilated_threads.cpp")

Progress = Callable[[str], None]


def build_core(
    top: str, sources: Sequence[Path], *, level: str = "-O2", progress: Progress | None = None
) -> Path:
    """The program that drives module `top` of the Verilog `sources`; built once, then found in the cache.

    `level` is the compiler's: a program that runs but shortly is sooner there without optimisation. Raises
    `ToolNotFoundError` without a good Verilator or C++ compiler, `ToolFailedError` when one fails.
    """
    return _build(top, sources, _driver_source(), "driver", level, progress)


def build_library(
    top: str, sources: Sequence[Path], driver: bytes, *, progress: Progress | None = None
) -> Path:
    """Like `build_core`, but a shared library of the model and of the C++ text `driver`, to be loaded."""
    return _build(top, sources, driver, "driver.so", "-O2", progress)


def _build(
    top: str, sources: Sequence[Path], driver: bytes, target: str, level: str, progress: Progress | None
) -> Path:
    verilator, compiler = find_verilator(), find_compiler()
    key = json_digest(
        {
            "top": top,
            "sources": {path.name: file_digest(path) for path in sources},
            "driver": hashlib.sha256(driver).hexdigest(),
            "target": target,
            "flags": [*_VERILATOR_FLAGS, *_flags(target), level],
            "tools": [verilator.version, compiler.version],
        }
    )
    say = progress or (lambda text: None)

    def make(directory: Path) -> None:
        runtime = _runtime(verilator, compiler, target, say)
        work = directory / "work"
        work.mkdir()
        say("Verilator")
        log = directory / "build.log"
        _verilate(verilator, top, sources, work, log)
        (work / "driver.cpp").write_bytes(driver)
        say("g++")
        _compile(verilator, compiler, runtime, work, log, target, level)
        (work / target).rename(directory / target)
        shutil.rmtree(work)

    return cached("verilated", key[:32], make) / target


def _flags(target: str) -> tuple[str, ...]:
    return (*_COMPILER_FLAGS, "-fPIC") if target.endswith(".so") else _COMPILER_FLAGS


def _driver_source() -> bytes:
    return resources.files("dwell.sim.verilated").joinpath("driver.cpp").read_bytes()


def _verilate(verilator: Verilator, top: str, sources: Sequence[Path], work: Path, log: Path) -> None:
    names = [str(path.resolve()) for path in sources]
    argv = [*verilator.tool.command, *_VERILATOR_FLAGS, "--top-module", top, "-Mdir", str(work), *names]
    _run("Verilator", argv, log, work, verilator)


def _compile(
    verilator: Verilator, compiler: Compiler, runtime: Path, work: Path, log: Path, target: str, level: str
) -> None:
    """Compile `work/target`, in as many pieces as help; the set-up code, run once, without optimisation."""
    slow = sorted(work.glob("Vdut*__Slow.cpp"))
    fast = [path for path in sorted(work.glob("Vdut*.cpp")) if path not in slow]
    units = {"setup": (slow, "-O0")}
    # The headers, not the code, dominate small files; without optimisation they do in larger ones too.
    limit = 150_000 if level != "-O0" else 1_000_000
    for index, group in enumerate(_gather([*fast, work / "driver.cpp"], limit)):
        units[f"model{index}"] = (group, level)
    rules = []
    for name, (group, optimised) in units.items():
        unit = work / f"unit_{name}.cpp"
        unit.write_text("".join(f'#include "{path.name}"\n' for path in group))
        rules.append((f"{unit.stem}.o", unit.name, optimised))
    objects = [rule[0] for rule in rules]
    shutil.copyfile(runtime, work / "libverilated.a")
    (work / "dwell.mk").write_text(_makefile(target, rules, [*objects, "libverilated.a"], target))
    _make(compiler, verilator, work, log)


def _gather(paths: Sequence[Path], limit_bytes: int) -> list[list[Path]]:
    """Neighbouring files in groups of about `limit_bytes`."""
    groups: list[list[Path]] = [[]]
    size = 0
    for path in paths:
        here = path.stat().st_size
        if groups[-1] and size + here > limit_bytes:
            groups.append([])
            size = 0
        groups[-1].append(path)
        size += here
    return groups


def _runtime(verilator: Verilator, compiler: Compiler, target: str, say: Progress) -> Path:
    """Verilator's own library, the same for every design of one version."""
    key = json_digest([*_flags(target), *_RUNTIME_SOURCES, verilator.version, compiler.version])

    def make(directory: Path) -> None:
        say("Verilator's library")
        rules = []
        for name in _RUNTIME_SOURCES:
            shutil.copyfile(verilator.root / "include" / name, directory / name)
            rules.append((Path(name).stem + ".o", name, "-O2"))
        (directory / "dwell.mk").write_text(
            _makefile("libverilated.a", rules, [rule[0] for rule in rules], target)
        )
        _make(compiler, verilator, directory, directory / "build.log")

    return cached("verilated-library", key[:32], make) / "libverilated.a"


def _makefile(target: str, rules: Sequence[tuple[str, str, str]], parts: Sequence[str], final: str) -> str:
    """Rules of (object, source, optimisation level), and the target linked or archived from `parts`.

    `final` is what all of it ends in: it decides the compiler's flags.
    """
    flags = " ".join(_flags(final))
    include = '-I. -I"$(VERILATOR_ROOT)/include" -I"$(VERILATOR_ROOT)/include/vltstd"'
    names = " ".join(parts)
    shared = "-shared " if target.endswith(".so") else ""
    link = f"ar rcs $@ {names}" if target.endswith(".a") else f"$(CXX) -pthread {shared}-o $@ {names}"
    lines = [f"{target}: {names}\n\t{link}\n"]
    lines += [f"{obj}: {src}\n\t$(CXX) {flags} {level} {include} -c -o $@ $<\n" for obj, src, level in rules]
    return "\n".join(lines)


def _make(compiler: Compiler, verilator: Verilator, work: Path, log: Path) -> None:
    argv = [compiler.make, "-f", "dwell.mk", f"-j{usable_cpus()}", f"CXX={compiler.path}"]
    _run("g++", argv, log, work, verilator)


def _run(tool: str, argv: Sequence[str], log: Path, work: Path, verilator: Verilator) -> None:
    """Run one step. Raises `ToolFailedError` with a log outside the cache, which is swept on failure."""
    env = verilator.environment()
    env.pop("MAKEFLAGS", None)
    done = run_child(argv, log=log, timeout_s=BUILD_LIMIT_S, cwd=work, env=env)
    if done.status == 0:
        return
    kept = keep_log(log)
    tail = _errors(kept) + (f"\nstopped after {BUILD_LIMIT_S:.0f} s" if done.timed_out else "")
    raise ToolFailedError(tool, log=kept, tail=tail)


def _errors(log: Path) -> str:
    """What a log says went wrong: Verilator's errors, which warnings may drown, or else its end."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("%Error")]
    return "\n".join(errors[:10]) or log_tail(log)
