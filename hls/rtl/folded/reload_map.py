"""Where the memories of a design lie behind its AXI4-Lite port: what `design.json` says under `weights`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dwell.hls.rtl.folded.layer import FoldedLayer, Loads
from dwell.hls.rtl.folded.memory import BUS_BITS, Memory

MAP_FORMAT = "dwell-weights-1"

#: Registers by byte address; the port's Verilog has them as they stand here.
REGISTERS: Mapping[str, int] = {
    "ID": 0x00, "VERSION": 0x04, "STRUCTURE": 0x08, "MEMORIES": 0x0C, "WORDS": 0x10, "CONTROL": 0x14,
    "STATUS": 0x18, "FRAMES_0": 0x1C, "FRAMES_1": 0x20, "WRITTEN": 0x24, "REFUSED": 0x28,
}  # fmt: skip
ID, VERSION = 0x44574C57, 1

#: Bits of the registers' byte addresses.
REGISTER_BITS = 6


def all_memories(layers: Sequence[FoldedLayer]) -> list[Memory]:
    """The memories of all layers, in the order of the register map."""
    return [memory for layer in layers for memory in layer.memories()]


def plan_loads(layers: Sequence[FoldedLayer]) -> Loads:
    """Windows for the memories of all layers."""
    return plan_windows(all_memories(layers))


def plan_windows(memories: Sequence[Memory]) -> Loads:
    """A window for each memory, at a multiple of its own size."""
    windows: dict[str, int] = {}
    at = 0
    # The largest ones first, so that no space is lost between them.
    for memory in sorted(memories, key=lambda m: (-m.window_bits, m.name)):
        windows[memory.name] = at
        at += 1 << memory.window_bits
    words = sum(m.depth * m.chunks for m in memories)
    return Loads(windows, max((at - 1).bit_length(), REGISTER_BITS - 2), words, structure(memories))


def structure(memories: Sequence[Memory]) -> int:
    """32 bits that two designs share whose memories are alike, contents apart."""
    text = json.dumps([[m.name, m.width, m.depth] for m in memories])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def weights_entry(layers: Sequence[FoldedLayer], loads: Loads) -> dict[str, Any]:
    """The register map of folded layers, for `design.json`."""
    return memories_entry(all_memories(layers), loads)


def memories_entry(memories: Sequence[Memory], loads: Loads) -> dict[str, Any]:
    """The register map, for `design.json`. Addresses are in bytes."""
    return {
        "format": MAP_FORMAT,
        "address_bits": loads.bits + 4,
        "registers": dict(REGISTERS),
        "id": ID,
        "version": VERSION,
        "structure": loads.structure,
        "bank_offset": 1 << (loads.bits + 2),
        "memory_offset": 1 << (loads.bits + 3),
        "bus_words": loads.words,
        "memories": [
            {
                "name": memory.name,
                "layer": memory.layer,
                "kind": memory.kind,
                "offset": loads.windows[memory.name] * (BUS_BITS // 8),
                "width": memory.width,
                "depth": memory.depth,
                "chunks": memory.chunks,
                "chunk_bits": memory.chunk_bits,
            }
            for memory in memories
        ],
    }
