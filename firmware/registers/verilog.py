"""The register block as plain Verilog-2005: storage and decoding, behind `dwell_axil_slave`."""

from __future__ import annotations

from dwell.firmware.registers.model import Counter, Field, Kind, Register, RegisterMap


def port(register: Register, field: Field) -> str:
    """The name of a field's port: the register's alone where there is one field called `value`."""
    return register.name if field.name == "value" else f"{register.name}_{field.name}"


def verilog(regs: RegisterMap) -> str:
    """The text of module `dwell_registers`."""
    ports = [
        "input  wire        clk,",
        "input  wire        rst_n,",
        "input  wire        write,  // a word is written in this clock",
        "input  wire [11:0] write_address,",
        "input  wire [31:0] write_data,",
        "input  wire [ 3:0] write_strobe,",
        "output reg         write_ok,  // the address may be written",
        "input  wire [11:0] read_address,",
        "output reg  [31:0] read_data,",
        "output reg         read_ok,  // the address may be read",
    ]
    fields = [_declare(register, field) for register in regs.registers for field in register.fields]
    counters = [f"input  wire [63:0] counter_{counter.name}" for counter in regs.counters]
    body = ports + [f"{line}," for line in [*fields, *counters][:-1]] + [[*fields, *counters][-1]]
    return "\n".join(
        [
            f"// dwell_registers: {regs.title}, storage and decoding.",
            f"// Generated from dwell_shell.rdl (sha256 {regs.source_digest[:16]}); change that and run",
            "// `python -m dwell.firmware.registers.generate`.",
            "`default_nettype none",
            "",
            "module dwell_registers (",
            *(f"    {line}" for line in body),
            ");",
            "",
            *_lanes(),
            *_storage(regs),
            *_write_decode(regs),
            *_read_decode(regs),
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _declare(register: Register, field: Field) -> str:
    direction = "input  wire" if field.kind is Kind.LOGIC else "output reg "
    return f"{direction} {_range(field.width)}{port(register, field)}"


def _lanes() -> list[str]:
    lanes = ", ".join(f"{{8{{write_strobe[{byte}]}}}}" for byte in (3, 2, 1, 0))
    return [f"    wire [31:0] lanes = {{{lanes}}};", "    wire [31:0] ones  = write_data & lanes;", ""]


def _storage(regs: RegisterMap) -> list[str]:
    lines = ["    always @(posedge clk) begin", "        if (!rst_n) begin"]
    pairs = [(r, f) for r in regs.registers for f in r.fields if f.kind is not Kind.LOGIC]
    lines += [f"            {port(r, f)} <= {f.width}'h{f.reset:X};" for r, f in pairs]
    lines += ["        end else begin"]
    for register in regs.registers:
        lines += _strobes(register)
        stored = [field for field in register.fields if field.kind is Kind.STORED]
        if stored:
            lines += [f"            if (write && write_address == 12'h{register.offset:03X}) begin"]
            lines += [f"                {_merge(register, field)}" for field in stored]
            lines += ["            end"]
    return [*lines, "        end", "    end", ""]


def _strobes(register: Register) -> list[str]:
    hit = f"write && write_address == 12'h{register.offset:03X}"
    return [
        f"            {port(register, field)} <= {hit} && ones[{field.low}];"
        for field in register.fields
        if field.kind is Kind.STROBE
    ]


def _merge(register: Register, field: Field) -> str:
    name = port(register, field)
    bits = f"[{field.high}:{field.low}]" if field.width > 1 else f"[{field.low}]"
    return f"{name} <= ({name} & ~lanes{bits}) | ones{bits};"


def _write_decode(regs: RegisterMap) -> list[str]:
    cases = [
        f"            12'h{register.offset:03X}: write_ok = 1'b1;  // {register.name}"
        for register in regs.registers
        if register.writable
    ]
    return [
        "    always @(*) begin",
        "        case (write_address)",
        *cases,
        "            default: write_ok = 1'b0;",
        "        endcase",
        "    end",
        "",
    ]


def _read_decode(regs: RegisterMap) -> list[str]:
    cases = [f"            12'h{r.offset:03X}: read_data = {_word(r)};" for r in regs.registers]
    for counter in regs.counters:
        cases += _halves(counter)
    return [
        "    always @(*) begin",
        "        read_ok = 1'b1;",
        "        case (read_address)",
        *cases,
        "            default: begin",
        "                read_data = 32'd0;",
        "                read_ok = 1'b0;",
        "            end",
        "        endcase",
        "    end",
        "",
    ]


def _halves(counter: Counter) -> list[str]:
    return [
        f"            12'h{counter.offset:03X}: read_data = counter_{counter.name}[31:0];",
        f"            12'h{counter.offset + 4:03X}: read_data = counter_{counter.name}[63:32];",
    ]


def _word(register: Register) -> str:
    """The register's 32 bits from its readable fields, zeros between them."""
    parts: list[str] = []
    above = 32
    for field in sorted(register.fields, key=lambda f: f.low, reverse=True):
        if above > field.high + 1:
            parts.append(f"{above - field.high - 1}'d0")
        parts.append(f"{field.width}'d0" if field.kind is Kind.STROBE else port(register, field))
        above = field.low
    if above:
        parts.append(f"{above}'d0")
    return parts[0] if len(parts) == 1 else "{" + ", ".join(parts) + "}"
