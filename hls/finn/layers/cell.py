"""A layer's module: one of ours behind the ports that FINN gives a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER.parent.parent / "rtl" / "lib"


@dataclass(frozen=True)
class Kind:
    """A module of ours with ports `s_valid`, `s_ready`, `s_data`, `m_valid`, `m_ready`, `m_data`, and its files."""

    module: str
    files: tuple[Path, ...]


FORK = Kind("dwell_stream_fork", (FOLDER / "dwell_stream_fork.v", LIBRARY / "dwell_fork.v"))
ADD = Kind("dwell_stream_add", (FOLDER / "dwell_stream_add.v",))
MAX = Kind("dwell_stream_max", (FOLDER / "dwell_stream_max.v",))


def print_cell(
    name: str, kind: Kind, parameters: Mapping[str, int], inputs: Sequence[int], outputs: Sequence[int]
) -> str:
    """Verilog of the module `name`; `inputs` and `outputs` are the bits of a beat of each stream, unpadded."""
    streams = [f"in{i}_V" for i in range(len(inputs))] + [f"out{i}_V" for i in range(len(outputs))]
    clock = (
        f'    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(streams)}, ASSOCIATED_RESET ap_rst_n" *)'
    )
    ports = [clock, "    input  wire ap_clk,", "    input  wire ap_rst_n,"]
    for stream, bits, enters in _streams(inputs, outputs):
        data, ready = ("input ", "output") if enters else ("output", "input ")
        ports.append(f"    {data} wire {stream}_TVALID,")
        ports.append(f"    {ready} wire {stream}_TREADY,")
        ports.append(f"    {data} wire [{_padded(bits) - 1}:0] {stream}_TDATA,")
    ports[-1] = ports[-1].removesuffix(",")
    values = ", ".join(f".{key}({value})" for key, value in parameters.items())
    return "\n".join(
        [
            "`default_nettype none",
            "",
            f"module {name} (",
            *ports,
            ");",
            "",
            f"    {kind.module} #({values}) u_layer (",
            "        .clk(ap_clk), .rst_n(ap_rst_n),",
            f"        {_side('s', 'in', inputs)},",
            f"        {_side('m', 'out', outputs)}",
            "    );",
            *_padding(inputs, outputs),
            "",
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )


def _streams(inputs: Sequence[int], outputs: Sequence[int]) -> list[tuple[str, int, bool]]:
    return [
        *((f"in{i}_V", bits, True) for i, bits in enumerate(inputs)),
        *((f"out{i}_V", bits, False) for i, bits in enumerate(outputs)),
    ]


def _padded(bits: int) -> int:
    return -(-bits // 8) * 8


def _side(ours: str, theirs: str, widths: Sequence[int]) -> str:
    """Ports of ours joined to FINN's streams, the first stream lowest."""

    def all_of(signal: str) -> str:
        cut = {i: f"[{bits - 1}:0]" if signal == "TDATA" else "" for i, bits in enumerate(widths)}
        names = [f"{theirs}{i}_V_{signal}{cut[i]}" for i in reversed(range(len(widths)))]
        return f"{{{', '.join(names)}}}" if len(names) > 1 else names[0]

    pairs = (("valid", "TVALID"), ("ready", "TREADY"), ("data", "TDATA"))
    return ", ".join(f".{ours}_{port}({all_of(signal)})" for port, signal in pairs)


def _padding(inputs: Sequence[int], outputs: Sequence[int]) -> list[str]:
    """Zeros above each result; the bits above each operand named as unused."""
    lines = []
    for stream, bits, enters in _streams(inputs, outputs):
        over = _padded(bits) - bits
        above = f"{stream}_TDATA[{_padded(bits) - 1}:{bits}]"
        if over and enters:
            lines.append(f"    wire unused_{stream} = &{{1'b0, {above}}};")
        elif over:
            lines.append(f"    assign {above} = {over}'d0;")
    return lines
