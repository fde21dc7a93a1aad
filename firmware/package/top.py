"""The generated top module: the shell with its network wired in. Instances and parameters only."""

from __future__ import annotations

from dwell.firmware.package.plan import EVENT_BATCH, EVENT_LOG2, VERSION, Kind, ShellPlan

_AXIL = (
    ("input", 12, "awaddr"), ("input", 1, "awvalid"), ("output", 1, "awready"),
    ("input", 32, "wdata"), ("input", 4, "wstrb"), ("input", 1, "wvalid"), ("output", 1, "wready"),
    ("output", 2, "bresp"), ("output", 1, "bvalid"), ("input", 1, "bready"),
    ("input", 12, "araddr"), ("input", 1, "arvalid"), ("output", 1, "arready"),
    ("output", 32, "rdata"), ("output", 2, "rresp"), ("output", 1, "rvalid"), ("input", 1, "rready"),
)  # fmt: skip
_PROTECTION = (("input", 3, "awprot"), ("input", 3, "arprot"))
_CLOCK = (
    '(* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK", X_INTERFACE_PARAMETER = '
    '"ASSOCIATED_BUSIF s_axil:s_axis:m_axis:m_axis_events, ASSOCIATED_RESET aresetn" *)'
)


def ports(plan: ShellPlan) -> list[tuple[str, int, str]]:
    """(direction, bits, name) of every port but clock and reset."""
    return [
        *((way, bits, f"s_axil_{name}") for way, bits, name in _AXIL),
        ("input", plan.source_bits, "s_axis_tdata"),
        ("input", 1, "s_axis_tvalid"),
        ("output", 1, "s_axis_tready"),
        ("input", 1, "s_axis_tlast"),
        ("input", 1, "s_axis_tuser"),
        ("output", plan.decision_bits, "m_axis_tdata"),
        ("output", 1, "m_axis_tvalid"),
        ("input", 1, "m_axis_tready"),
        ("output", 1, "m_axis_tlast"),
        ("output", 128, "m_axis_events_tdata"),
        ("output", 1, "m_axis_events_tvalid"),
        ("input", 1, "m_axis_events_tready"),
        ("output", 1, "m_axis_events_tlast"),
        ("output", 1, "trigger_pulse"),
        *((way, bits, f"s_axil_weights_{name}") for way, bits, name in weights_ports(plan)),
    ]


def weights_ports(plan: ShellPlan) -> list[tuple[str, int, str]]:
    """(direction, bits, name) of the network's port for its weights; none where they are fixed."""
    if not plan.weights_bits:
        return []
    sized = [(way, plan.weights_bits if name.endswith("addr") else bits, name) for way, bits, name in _AXIL]
    return [*sized, *_PROTECTION]


def top_module(plan: ShellPlan, digest: str) -> str:
    """The text of the top module, `digest` (hexadecimal) in its BUILD_DIGEST."""
    outside = ports(plan)
    declared = [f"    {_attribute(name)}{way:<6} wire {_range(bits)}{name}" for way, bits, name in outside]
    wires = [f"    wire {_range(bits)}net_{name};" for _, bits, name in _network_ports(plan)]
    weights = [f"s_axil_weights_{name}" for _, _, name in weights_ports(plan)]
    shell = [
        *(name for _, _, name in outside if name not in weights),
        *(f"net_{name}" for _, _, name in _network_ports(plan)),
    ]
    network = [(name, f"net_{name}") for _, _, name in _network_ports(plan)]
    network += [(name.replace("s_axil_weights", "s_axil"), name) for name in weights]
    return "\n".join(
        [
            f"// {plan.top}: the firmware shell round the network {plan.network}. Generated; do not edit.",
            "`default_nettype none",
            "",
            f"module {plan.top} (",
            f"    {_CLOCK}",
            "    input  wire aclk,",
            "    input  wire aresetn,",
            ",\n".join(declared),
            ");",
            "",
            "    wire net_aresetn;",
            *wires,
            "",
            "    dwell_shell #(",
            ",\n".join(f"        .{name}({value})" for name, value in _parameters(plan, digest)),
            "    ) u_shell (",
            "        .aclk(aclk), .aresetn(aresetn), .net_aresetn(net_aresetn),",
            ",\n".join(f"        .{name}({name})" for name in shell),
            "    );",
            "",
            f"    {plan.network} u_network (",
            "        .aclk(aclk), .aresetn(net_aresetn),",
            ",\n".join(f"        .{name}({wire})" for name, wire in network),
            "    );",
            "",
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )


def _attribute(name: str) -> str:
    # In a block design the weights' interface is that of the block `weights`; here it is plain wires.
    return '(* X_INTERFACE_IGNORE = "true" *) ' if name.startswith("s_axil_weights") else ""


def _network_ports(plan: ShellPlan) -> list[tuple[str, int, str]]:
    return [
        (way, bits, f"{side}_axis_{name}")
        for side, data, source in (("s", plan.input_bits, "input"), ("m", plan.output_bits, "output"))
        for name, bits in (("tdata", data), ("tvalid", 1), ("tready", 1), ("tlast", 1), ("tuser", 1))
        for way in (source,)
    ]


def _parameters(plan: ShellPlan, digest: str) -> list[tuple[str, object]]:
    major, minor = VERSION
    return [
        ("FRAMES", int(plan.kind is Kind.FRAMES)),
        ("SOURCE_BITS", plan.source_bits),
        ("INPUT_BITS", plan.input_bits),
        ("OUTPUT_BITS", plan.output_bits),
        ("DECISION_BITS", plan.decision_bits),
        ("ELEMENT_BITS", plan.score_bits),
        ("SIGNED", int(plan.signed)),
        ("TAP_LOG2", plan.tap_log2),
        *(_frames(plan) if plan.kind is Kind.FRAMES else _pixels(plan)),
        ("WEIGHTS", int(plan.weights_bits > 0)),
        ("EVENT_LOG2", EVENT_LOG2),
        ("EVENT_BATCH", EVENT_BATCH),
        ("VERSION", f"32'h{major << 16 | minor:08X}"),
        ("BUILD_DIGEST", f"128'h{digest[:32]}"),
    ]


def _pixels(plan: ShellPlan) -> list[tuple[str, object]]:
    return [
        ("WINDOW_LINES", plan.window[0]),
        ("WINDOW_PIXELS", plan.window[1]),
        ("MAX_LINE", plan.max_line),
    ]


def _frames(plan: ShellPlan) -> list[tuple[str, object]]:
    return [
        ("FRAME_BEATS", plan.frame_beats),
        ("OUTPUT_LINES", plan.positions[0]),
        ("OUTPUT_PIXELS", plan.positions[1]),
        ("LANES", plan.lanes),
        ("DECISION_BEATS", plan.decision_beats),
    ]


def _range(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""
