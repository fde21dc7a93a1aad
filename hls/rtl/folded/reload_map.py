"""Where the memories of a design lie behind its AXI4-Lite port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dwell.hls.rtl.folded.layer import FoldedLayer, Loads
from dwell.hls.rtl.folded.memory import BUS_BITS, Memory


def all_memories(layers: Sequence[FoldedLayer]) -> list[Memory]:
    """The memories of all layers, in the order of the register map."""
    return [memory for layer in layers for memory in layer.memories()]


def plan_loads(layers: Sequence[FoldedLayer]) -> Loads:
    """Windows for all memories, each at a multiple of its own size, the first one above the registers."""
    windows: dict[str, int] = {}
    memories = all_memories(layers)
    # The largest ones first, so that no space is lost between them.
    first = at = 1 << max(m.window_bits for m in memories)
    for memory in sorted(memories, key=lambda m: (-m.window_bits, m.name)):
        windows[memory.name] = at
        at += 1 << memory.window_bits
    return Loads(windows, max((at - 1).bit_length(), 4), first)


def weights_entry(layers: Sequence[FoldedLayer], loads: Loads) -> dict[str, Any]:
    return {"bus_bits": BUS_BITS}
