"""The Verilog of weights from outside FINN's layers: memories, streams, the bank of every frame, the way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwell.hls.finn.top import Core, WeightsOutside
from dwell.hls.finn.weights import FRAMES, Matrix
from dwell.hls.qmodel import QModel
from dwell.hls.rtl.folded.layer import LOAD_PORTS, Loads
from dwell.hls.rtl.folded.memory import BUS_BITS, Memory, module_name, print_memory
from dwell.hls.rtl.folded.reload_map import plan_windows
from dwell.hls.rtl.folded.text import INDENT, instance, module_text, vector
from dwell.hls.rtl.folded.top import frame_banks, lite_declarations, weight_port


@dataclass(frozen=True)
class Writable:
    """Matrix units with their links into the core, their memories, and where those lie for who writes them."""

    matrices: tuple[Matrix, ...]
    links: tuple[str, ...]
    memories: tuple[Memory, ...]
    loads: Loads

    @classmethod
    def plan(cls, matrices: Sequence[Matrix], core: Core, model: QModel) -> Writable:
        """Memories with the weights of `model`; `core` still has FINN's own."""
        memories = tuple(matrix.memory(model) for matrix in matrices)
        links = tuple(core.weights_of(matrix.layer) for matrix in matrices)
        return cls(tuple(matrices), links, memories, plan_windows(memories))


def print_weights(plan: Writable, core: Core, top: str, header: str) -> dict[str, str]:
    """The modules with all memories and streams, by file name."""
    module = f"{top}_weights"
    texts = {}
    body = [
        f"{INDENT}wire [{len(plan.memories)}:0] rooms;",
        f"{INDENT}assign room = &rooms;",
        "",
        f"{INDENT}// ---- the bank of the frame whose results come out",
        f"{INDENT}wire unused_valid;",
        *instance(
            "dwell_fifo", "u_back", {"BITS": 1, "DEPTH": 2 * FRAMES},
            {
                "clk": "aclk", "rst_n": "aresetn", "s_valid": "begins", "s_ready": f"rooms[{len(plan.memories)}]",
                "s_data": "bank", "m_valid": "unused_valid", "m_ready": "ends", "m_data": "end_bank",
            },
        ),
        f"{INDENT}wire unused = &{{1'b0, unused_valid}};",
    ]  # fmt: skip
    ports = [f"{INDENT}{line}," for line in _ports(plan, core)]
    for number, (matrix, link, memory) in enumerate(
        zip(plan.matrices, plan.links, plan.memories, strict=True)
    ):
        body += _stream(number, matrix, link, memory, core.bits(link), top)
        window = plan.loads.windows[memory.name]
        texts[f"{module_name(top, memory)}.v"] = print_memory(
            memory, module_name(top, memory), header, window, plan.loads.bits
        )
    remarks = [f"The weights of {len(plan.memories)} layers in two banks, streamed frame by frame."]
    texts[f"{module}.v"] = module_text(header, remarks, module, ports, body)
    return texts


def _ports(plan: Writable, core: Core) -> list[str]:
    lines = [
        "input  wire aclk",
        "input  wire aresetn",
        "input  wire begins",
        "input  wire bank",
        "output wire room",
        "input  wire ends",
        "output wire end_bank",
        "input  wire load",
        "input  wire load_bank",
        f"input  wire {vector(plan.loads.bits)} load_address",
        f"input  wire {vector(BUS_BITS)} load_data",
    ]
    for link in plan.links:
        lines += [
            f"output wire {vector(core.bits(link))} {link}_data",
            f"output wire {link}_valid",
            f"input  wire {link}_ready",
        ]
    return lines


def _stream(number: int, matrix: Matrix, link: str, memory: Memory, bits: int, top: str) -> list[str]:
    pad = f"{{{bits - memory.width}'d0, {link}_word}}" if bits > memory.width else f"{link}_word"
    parameters = {
        "BITS": memory.width, "DEPTH": memory.depth, "ADDRESS_BITS": memory.address_bits,
        "ROUNDS": matrix.vectors, "READS": memory.reads, "FRAMES": FRAMES,
    }  # fmt: skip
    return [
        "",
        f"{INDENT}// ---- {matrix.layer}: '{matrix.node}'",
        f"{INDENT}wire [{memory.address_bits}:0] {link}_address;",
        f"{INDENT}wire {vector(memory.width)} {link}_read, {link}_word;",
        *instance(
            module_name(top, memory), f"{link}_memory", {},
            {"clk": "aclk", "address": f"{link}_address", "word": f"{link}_read", **LOAD_PORTS},
        ),
        *instance(
            "dwell_weight_stream", f"{link}_stream", parameters,
            {
                "clk": "aclk", "rst_n": "aresetn", "push": "begins", "bank": "bank", "room": f"rooms[{number}]",
                "address": f"{link}_address", "word": f"{link}_read", "m_valid": f"{link}_valid",
                "m_ready": f"{link}_ready", "m_data": f"{link}_word",
            },
        ),
        f"{INDENT}assign {link}_data = {pad};",
    ]  # fmt: skip


def outside(plan: Writable, core: Core, top: str, frame_beats: int) -> WeightsOutside:
    """What a top has beside FINN's layers: the port, the bank of every frame, the memories."""
    front = [
        "",
        f"{INDENT}// ---- a frame enters when every layer has room for its bank",
        f"{INDENT}wire enter_valid, enter_ready, enter_first, enter_bank, room;",
        f"{INDENT}wire back_last, back_bank;",
        f"{INDENT}wire pass = ~beat_first | room;",
        f"{INDENT}assign enter_valid = beat_valid & pass, beat_ready = enter_ready & pass, enter_first = beat_first;",
        *frame_banks("enter"),
        *weight_port(plan.loads, "current", "flying"),
    ]
    for link in plan.links:
        front.append(f"{INDENT}wire {vector(core.bits(link))} {link}_data; wire {link}_valid, {link}_ready;")
    weights: Mapping[str, str] = {
        "aclk": "aclk", "aresetn": "aresetn", "begins": "enter_valid & enter_ready & enter_first",
        "bank": "enter_bank", "room": "room", "ends": "m_axis_tvalid & m_axis_tready & back_last",
        "end_bank": "back_bank", **LOAD_PORTS, **_links(plan),
    }  # fmt: skip
    front += ["", *instance(f"{top}_weights", "u_banked", {}, weights)]
    joined = ", ".join(f".{port}({wire})" for port, wire in _links(plan).items())
    back = [
        f"{INDENT}wire unused_user;",
        *instance(
            "dwell_line_marks", "u_frames", {"LINE_BEATS": frame_beats, "LINES": 1},
            {
                "clk": "aclk", "rst_n": "aresetn", "leave": "m_axis_tvalid & m_axis_tready",
                "user": "unused_user", "last": "back_last",
            },
        ),
        f"{INDENT}wire unused_frames = &{{1'b0, unused_user}};",
    ]  # fmt: skip
    return WeightsOutside(
        tuple(lite_declarations(plan.loads)), tuple(front), (f"{INDENT * 2}{joined},",), tuple(back)
    )


def _links(plan: Writable) -> dict[str, str]:
    return {
        f"{link}_{signal}": f"{link}_{signal}" for link in plan.links for signal in ("data", "valid", "ready")
    }
