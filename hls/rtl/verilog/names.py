"""Verilog names."""

from __future__ import annotations

import re

_KEYWORDS = (
    "always and assign automatic begin bit buf byte case casex casez cell class config const deassign "
    "default define defparam design disable do edge else end endcase endconfig endfunction "
    "endgenerate endmodule endprimitive endspecify endtable endtask enum event export extern final "
    "for force forever fork function generate genvar highz0 highz1 if ifnone import include initial "
    "inout input instance int integer interface join large liblist library local localparam logic "
    "longint macromodule medium modport module nand negedge new nmos nor noshowcancelled not notif0 "
    "notif1 null or output package packed parameter pmos posedge primitive priority program property "
    "protected pull0 pull1 pulldown pullup pure rand real realtime ref reg release repeat return "
    "rnmos rpmos rtran scalared sequence shortint shortreal showcancelled signed small solve specify "
    "specparam static string strong0 strong1 struct super supply0 supply1 table tagged task this time "
    "tran tri tri0 tri1 triand trior trireg type typedef union unique unsigned use var vectored "
    "virtual void wait wand weak0 weak1 while wire with wor xnor xor "
)


def identifier(text: str) -> str:
    """`text` as a Verilog name: letters, digits and underscores, no keyword, none of the library's names."""
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_") or "network"
    if name[0].isdigit() or name.lower() in _KEYWORDS.split() or name.startswith("dwell_"):
        name = f"net_{name}"
    return name


def unique(texts: list[str]) -> list[str]:
    """Identifiers for `texts`, no two the same."""
    seen: set[str] = set()
    out = []
    for text in texts:
        name, number = identifier(text), 2
        while name in seen:
            name, number = f"{identifier(text)}_{number}", number + 1
        seen.add(name)
        out.append(name)
    return out
