"""`overlay.json`: what an overlay says of itself to a driver."""

from __future__ import annotations

from dwell.firmware.boards import Board
from dwell.firmware.package.plan import DMA_LENGTH_BITS, VERSION, WEIGHTS, Kind, ShellPlan, beats
from dwell.hls.design import Design, StreamPort

FORMAT = "dwell-overlay-2"


def describe(design: Design, plan: ShellPlan, board: Board, digest: str, release: str) -> dict[str, object]:
    """The file's content. `input` and `output` are the tensors with their streams, in either kind."""
    body: dict[str, object] = {
        "format": FORMAT,
        "kind": str(plan.kind),
        "name": design.name,
        "board": board.name,
        "build_digest": digest,
        "design_digest": design.digest,
        "design_edited": list(design.edited),
        "dwell": release,
        "version": list(VERSION),
        "clock_mhz": board.clock.default_mhz,
        "bitstream": "simulation only",
        "dma_length_bits": DMA_LENGTH_BITS,
        "input": _tensor(design.input, plan, plan.source_bits),
        "output": {
            **_tensor(design.output, plan, plan.decision_bits),
            "result_beats": plan.decision_beats,
        },
        "weights": {**design.weights, "region": WEIGHTS} if plan.weights_bits and design.weights else None,
    }
    return {**body, **(_pixels(design, plan) if plan.kind is Kind.PIXELS else {})}


def _tensor(port: StreamPort, plan: ShellPlan, dma_bits: int) -> dict[str, object]:
    """A tensor in C order; a frame's `beats` are 0 where frames may be of any size."""
    return {
        "shape": list(port.shape),
        "width": port.type.width,
        "frac": port.type.frac,
        "signed": port.type.signed,
        "elements": port.elements,
        "beats": beats(port) if plan.kind is Kind.FRAMES else 0,
        "tdata_bits": port.tdata_bits,
        "dma_bits": dma_bits,
        "scale": port.scale,
        "offset": port.offset,
    }


def _pixels(design: Design, plan: ShellPlan) -> dict[str, object]:
    kind = design.input.type
    return {
        "pixel": {
            "bits": plan.source_bits,
            "signed": kind.signed,
            "width": kind.width,
            "frac": kind.frac,
            "channels": design.input.shape[-1],
        },
        "score": {
            "bits": plan.score_bits,
            "frac": design.output.type.frac,
            "scale": design.output.scale,
        },
        "decision_bits": plan.decision_bits,
        "window": list(plan.window),
        "max_line": plan.max_line,
    }
