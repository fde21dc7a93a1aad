"""What the page says of a design of any back end: its layers, and what it does with a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def type_text(kind: Any) -> str:
    """A type of `design.json`: an object with its text, or the text."""
    return str(kind["text"]) if isinstance(kind, Mapping) else str(kind)


def layer_text(layer: Mapping[str, Any]) -> dict[str, str]:
    """What the page says of a layer. A back end says of one what it knows."""
    window = "×".join(str(side) for side in layer.get("window") or ())
    return {
        "name": str(layer["name"]),
        "what": f"{layer['kind']} {window}".strip() + f", {layer['style']}",
        "weight_type": type_text(layer["weight_type"]) if layer.get("weight_type") else "none",
        "kernel": _kernel(layer.get("kernel") or {}),
        "latency": _clocks(layer),
        "memory": _memory(layer),
        "out_type": type_text(layer["out_type"]),
    }


def _kernel(kernel: Mapping[str, Any]) -> str:
    """Such as "12 adders, 4 stages", or "PE 4, SIMD 3"."""
    said = {key: value for key, value in kernel.items() if isinstance(value, int)}
    return ", ".join(
        f"{key} {value}" if key.isupper() else f"{value} {key.replace('_', ' ')}"
        for key, value in said.items()
    )


def _clocks(layer: Mapping[str, Any]) -> str:
    if layer.get("latency_cycles") is not None:
        return f"{layer['latency_cycles']} clocks"
    estimate = layer.get("cycles_estimate")
    return f"{estimate} clocks a frame, estimated" if estimate else ""


def _memory(layer: Mapping[str, Any]) -> str:
    if layer.get("line_buffer_bits"):
        return f"{layer['line_buffer_bits'] / 1024:.1f} kbit line buffer"
    return f"FIFO of {layer['fifo_depth']} behind it" if layer.get("fifo_depth") else ""


def design_text(design: Mapping[str, Any]) -> str:
    """What a design does with pixels, or with frames of one size."""
    latency = design["latency_cycles"]
    if design["max_width"]:
        rows, columns = design["window"]
        return (
            f"One decision looks at {rows}×{columns} pixels. It can be taken {latency} clocks "
            "after the window's last pixel has entered, as the structure predicts and the bench checks. "
            f"Lines may be up to {design['max_width']} pixels wide; no frame is stored."
        )
    shape = "×".join(str(side) for side in design["input"]["shape"])
    bound = "" if design.get("latency_exact", True) else "at most "
    return (
        f"Frames of {shape} codes, one every {design['frame_cycles']} clocks at full speed. The last result "
        f"can be taken {bound}{latency} clocks after a frame's last beat has entered; the bench measures it."
    )
