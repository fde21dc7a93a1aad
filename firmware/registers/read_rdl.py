"""SystemRDL to `RegisterMap`. Needs systemrdl-compiler, which only the development environment has."""

from __future__ import annotations

import hashlib
from pathlib import Path

from systemrdl.compiler import RDLCompiler
from systemrdl.messages import RDLCompileError
from systemrdl.node import AddrmapNode, FieldNode, RegfileNode, RegNode

from dwell.errors import ConfigError
from dwell.firmware.registers.model import Counter, Field, Kind, Register, RegisterMap

_PAGE_BYTES = 4096


def read_rdl(path: Path) -> RegisterMap:
    """The register map of a SystemRDL file.

    Raises `ConfigError` where the file does not compile or uses what the generators cannot make.
    """
    compiler = RDLCompiler()
    try:
        compiler.compile_file(str(path))
        top = compiler.elaborate().top
    except RDLCompileError as error:
        raise ConfigError(
            f"{path.name} does not compile", hint="see the compiler's message above", place=str(path)
        ) from error
    registers: list[Register] = []
    counters: list[Counter] = []
    for child in top.children(unroll=True):
        if isinstance(child, RegNode):
            registers.append(_register(child, path))
        elif isinstance(child, RegfileNode):
            counters.append(_counter(child, path))
        else:
            raise ConfigError(f"{child.get_path()} is neither a register nor a counter", place=str(path))
    last = max([r.offset for r in registers] + [c.offset + 4 for c in counters])
    if last + 4 > _PAGE_BYTES:
        raise ConfigError(f"registers up to {last:#x} do not fit a page of 4 KiB", place=str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return RegisterMap(top.inst_name, _text(top, "name"), tuple(registers), tuple(counters), digest)


def _register(node: RegNode, path: Path) -> Register:
    if node.get_property("regwidth") != 32:
        raise ConfigError(f"{node.get_path()} is not 32 bits wide", place=str(path))
    fields = tuple(_field(field, path) for field in node.fields())
    index = "".join(str(i) for i in node.current_idx or ())
    return Register(f"{node.inst_name}{index}", node.absolute_address, fields, _text(node, "desc"))


def _field(node: FieldNode, path: Path) -> Field:
    stored, driven = node.is_hw_readable, node.is_hw_writable
    if node.get_property("singlepulse"):
        kind = Kind.STROBE
    elif stored and not driven and node.is_sw_writable:
        kind = Kind.STORED
    elif driven and not stored and not node.is_sw_writable:
        kind = Kind.LOGIC
    else:
        raise ConfigError(
            f"{node.get_path()} is neither stored, nor a strobe, nor driven by the logic", place=str(path)
        )
    reset = node.get_property("reset")
    if not isinstance(reset, int):
        raise ConfigError(f"{node.get_path()} has no reset value", place=str(path))
    # A property of dwell_shell.rdl's own, which another source need not declare.
    signed = "signed_value" in node.list_properties() and bool(node.get_property("signed_value"))
    return Field(node.inst_name, node.low, node.high, kind, reset, signed, _text(node, "desc"))


def _counter(node: RegfileNode, path: Path) -> Counter:
    names = [child.inst_name for child in node.registers()]
    if names != ["lo", "hi"]:
        raise ConfigError(f"{node.get_path()} is not a counter of a low and a high half", place=str(path))
    return Counter(node.inst_name, node.absolute_address, _text(node, "desc"))


def _text(node: AddrmapNode | RegfileNode | RegNode | FieldNode, name: str) -> str:
    return str(node.get_property(name) or "")
