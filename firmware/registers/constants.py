"""The register map as constants of Python and of C, and as a page of the docs."""

from __future__ import annotations

from dwell.firmware.registers.model import Field, Kind, Register, RegisterMap

_ACCESS = {Kind.STORED: "read, write", Kind.STROBE: "write 1", Kind.LOGIC: "read"}


def python(regs: RegisterMap) -> str:
    """The text of the driver's module of constants; Python 3.10, no imports."""
    lines = [
        '"""Registers of the dwell firmware shell.',
        "",
        f"Generated from dwell_shell.rdl (sha256 {regs.source_digest[:16]}): change that, not this.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    for register in regs.registers:
        lines.append(f"{register.name.upper()} = 0x{register.offset:03X}")
        for field in register.fields:
            name = f"{register.name}_{field.name}".upper()
            if field.width == 1:
                lines.append(f"{name} = 0x{1 << field.low:X}")
            elif field.name != "value":
                lines.append(f"{name}_SHIFT, {name}_MASK = {field.low}, 0x{(1 << field.width) - 1:X}")
    lines += [
        "",
        "#: Counters of 64 bits: name, offset of the low half; the high half is 4 bytes on.",
        "COUNTERS = {",
    ]
    lines += [f'    "{counter.name}": 0x{counter.offset:03X},' for counter in regs.counters]
    lines += [
        "}",
        "",
        "#: Every register: name, (offset, access, fields as (name, lowest bit, bits)).",
        "REGISTERS = {",
    ]
    for register in regs.registers:
        fields = [f'("{f.name}", {f.low}, {f.width})' for f in register.fields]
        lines += [f'    "{register.name}": (', f"        0x{register.offset:03X},"]
        lines.append(f'        "{_access(register)}",')
        if len(fields) == 1:
            lines.append(f"        ({fields[0]},),")
        else:
            lines += ["        (", *(f"            {field}," for field in fields), "        ),"]
        lines.append("    ),")
    for counter in regs.counters:
        for half, offset in (("lo", counter.offset), ("hi", counter.offset + 4)):
            lines.append(f'    "{counter.name}_{half}": (0x{offset:03X}, "read-only", (("value", 0, 32),)),')
    return "\n".join([*lines, "}", ""])


def _access(register: Register) -> str:
    if register.readable and register.writable:
        return "read-write"
    return "read-only" if register.readable else "write-only"


def c_header(regs: RegisterMap) -> str:
    """The text of `dwell_registers.h`."""
    lines = [
        f"/* Registers of the {regs.title}.",
        f"   Generated from dwell_shell.rdl (sha256 {regs.source_digest[:16]}): change that, not this. */",
        "#ifndef DWELL_REGISTERS_H",
        "#define DWELL_REGISTERS_H",
        "",
    ]
    for register in regs.registers:
        name = f"DWELL_{register.name.upper()}"
        lines.append(f"#define {name} 0x{register.offset:03X}u")
        for field in register.fields:
            if field.width < 32:
                mask = ((1 << field.width) - 1) << field.low
                lines.append(f"#define {name}_{field.name.upper()}_MASK 0x{mask:08X}u")
                lines.append(f"#define {name}_{field.name.upper()}_SHIFT {field.low}")
    for counter in regs.counters:
        lines.append(f"#define DWELL_{counter.name.upper()}_LO 0x{counter.offset:03X}u")
        lines.append(f"#define DWELL_{counter.name.upper()}_HI 0x{counter.offset + 4:03X}u")
    return "\n".join([*lines, "", "#endif", ""])


def page(regs: RegisterMap) -> str:
    """The page of the docs, Markdown."""
    lines = [
        f"# Registers of the {regs.title}",
        "",
        "<!-- Generated from firmware/registers/dwell_shell.rdl: change that, not this. -->",
        "",
        "Words of 32 bits behind AXI4-Lite. Where there is no register the answer is `SLVERR`.",
        "",
        "| offset | register | bits | field | access | reset | meaning |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for register in regs.registers:
        lines.append(f"| `{register.offset:#05x}` | **{register.name}** | | | | | {register.text} |")
        lines += [_row(field) for field in register.fields]
    lines += [
        "",
        "## Counters",
        "",
        "64 bits each, low half first: the copies that the last `snapshot` took, all in one clock.",
        "",
        "| offset | counter | meaning |",
        "| --- | --- | --- |",
        *(f"| `{counter.offset:#05x}` | **{counter.name}** | {counter.text} |" for counter in regs.counters),
    ]
    return "\n".join([*lines, ""])


def _row(field: Field) -> str:
    bits = f"{field.high}..{field.low}" if field.width > 1 else f"{field.low}"
    reset = "" if field.kind is Kind.LOGIC else f"`{field.reset:#x}`"
    text = ("signed, " if field.signed else "") + field.text
    return f"| | | {bits} | {field.name} | {_ACCESS[field.kind]} | {reset} | {text} |"
