"""What the shell needs to know of a design, and whether it can take it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from dwell.errors import ConfigError
from dwell.hls.design import Design, StreamPort

VERSION = (2, 0)
"""Of the register map; a driver refuses another first number."""

WEIGHTS = "weights"
"""The name of the block and the address region where weights are written."""

EVENT_LOG2 = 9
EVENT_BATCH = 256
DMA_LENGTH_BITS = 23
"""Length field of the DMAs: transfers below 8 MiB."""

_STREAM_BITS = (8, 16, 32, 64, 128, 256, 512, 1024)
_PIXEL_BITS = (8, 16, 32, 64)
_MOST_SCORE_BITS = 32
_MOST_PLACES = 0xFFFF
_LEAST_TAP_LOG2 = 4
_ROOM_FOR_TWO_BITS = 1 << 18
"""Up to this memory the tap holds two frames."""
_MOST_TAP_BITS = 1 << 21
"""Memory of the tap: 64 block RAMs of 36 kbit, less than half of the smallest board's."""


class Kind(enum.StrEnum):
    """What the shell counts in."""

    PIXELS = "pixels"
    FRAMES = "frames"


@dataclass(frozen=True)
class ShellPlan:
    """The parameters of `dwell_shell` for one design. All widths in bits.

    `source_bits` and `decision_bits` are beats of the DMA's streams, `input_bits` and `output_bits` those of
    the network. In kind frames a frame is `frame_beats` beats and `positions` (lines, pixels) decisions; a
    decision is `decision_beats` beats of `lanes` elements. In kind pixels those are 0, and `window` and
    `max_line` say what the network takes. `weights_bits` are address bits, 0 where weights are fixed.
    """

    top: str
    network: str
    kind: Kind
    source_bits: int
    input_bits: int
    output_bits: int
    decision_bits: int
    score_bits: int
    signed: bool
    tap_log2: int
    window: tuple[int, int] = (0, 0)
    max_line: int = 0
    frame_beats: int = 0
    positions: tuple[int, int] = (0, 0)
    lanes: int = 1
    decision_beats: int = 1
    weights_bits: int = 0


def plan_shell(design: Design) -> ShellPlan:
    """The shell's parameters. Raises `ConfigError` for a design that this shell cannot carry."""
    plan = _plan_pixels(design) if design.max_width else _plan_frames(design)
    return replace(plan, weights_bits=int(design.weights["address_bits"])) if design.weights else plan


def beats(port: StreamPort) -> int:
    """Beats of a frame on a port of a design of fixed frames."""
    return math.prod(port.shape) // port.elements


def _plan_pixels(design: Design) -> ShellPlan:
    if not isinstance(design.output.scale, float) or design.output.offset != 0.0:
        raise _refuse(design, "its score has an offset or scales by channel", "end in a score with one scale")
    if design.input.tdata_bits not in _PIXEL_BITS:
        bits = design.input.tdata_bits
        raise _refuse(design, f"a pixel of {bits} bits fits no DMA stream", "use 1, 2, 4 or 8 bytes a pixel")
    channels = design.output.shape[-1]
    kind = design.output.type
    if channels != 1 or not kind.signed:
        raise _refuse(
            design,
            f"its output is {channels} x {kind}, the trigger takes one signed score",
            "end in one channel",
        )
    if design.output.tdata_bits > _MOST_SCORE_BITS:
        raise _refuse(design, f"a score of {kind.width} bits is wider than 32", "requantize the last layer")
    return ShellPlan(
        top=f"{design.name}_overlay",
        network=design.top,
        kind=Kind.PIXELS,
        source_bits=design.input.tdata_bits,
        input_bits=design.input.tdata_bits,
        output_bits=design.output.tdata_bits,
        decision_bits=next(bits for bits in _PIXEL_BITS if bits > kind.width),
        score_bits=kind.width,
        signed=True,
        tap_log2=_LEAST_TAP_LOG2,
        window=design.window,
        max_line=design.max_width,
    )


def _plan_frames(design: Design) -> ShellPlan:
    output, kind = design.output, design.output.type
    channels = output.shape[-1]
    lines, pixels = math.prod(output.shape[:-2]), math.prod(output.shape[-2:-1])
    if output.elements > channels:
        raise _refuse(
            design,
            f"{output.elements // channels} decisions come in one beat, the trigger takes one a beat",
            "convert in style 'stream' with one pixel a clock (`--pixels-per-clock 1`)",
        )
    if channels % output.elements:
        raise _refuse(
            design,
            f"a beat of {output.elements} elements does not divide a decision of {channels}",
            "choose a fold that divides the channels",
        )
    if kind.width > _MOST_SCORE_BITS - (not kind.signed):
        raise _refuse(
            design,
            f"its output is {kind}, the trigger takes 32 bits with a sign",
            "requantize the last layer",
        )
    if max(lines, pixels, channels) > _MOST_PLACES:
        raise _refuse(
            design, f"its output is {output.shape}, places are numbered in 16 bits", "end in fewer places"
        )
    source_bits = _stream_bits(design, design.input.tdata_bits, "input")
    frame_beats = beats(design.input)
    return ShellPlan(
        top=f"{design.name}_overlay",
        network=design.top,
        kind=Kind.FRAMES,
        source_bits=source_bits,
        input_bits=design.input.tdata_bits,
        output_bits=output.tdata_bits,
        decision_bits=_stream_bits(design, output.tdata_bits + 1, "output"),
        score_bits=kind.width,
        signed=kind.signed,
        tap_log2=_tap_log2(design, frame_beats),
        frame_beats=frame_beats,
        positions=(lines, pixels),
        lanes=output.elements,
        decision_beats=channels // output.elements,
    )


def _stream_bits(design: Design, needed: int, side: str) -> int:
    """The DMA's stream for a beat of `needed` bits."""
    if needed > _STREAM_BITS[-1]:
        raise _refuse(
            design,
            f"a beat of its {side} takes {needed} bits, a DMA's stream has {_STREAM_BITS[-1]} at most",
            "convert in style 'stream', or with a narrower type",
        )
    return next(bits for bits in _STREAM_BITS if bits >= needed)


def _tap_log2(design: Design, frame_beats: int) -> int:
    """Log2 of the tap's places: two frames where memory allows, else one and a little."""
    bits = design.input.tdata_bits + 1
    twice, once = (
        max(_LEAST_TAP_LOG2, (count - 1).bit_length()) for count in (2 * frame_beats, frame_beats + 16)
    )
    if bits << once > _MOST_TAP_BITS:
        raise _refuse(
            design,
            f"a frame of {frame_beats} beats of {design.input.tdata_bits} bits finds no room in the tap",
            f"frames of at most {_MOST_TAP_BITS // 8192} kB: fewer pixels or fewer bits",
        )
    return twice if bits << twice <= _ROOM_FOR_TWO_BITS else once


def _refuse(design: Design, why: str, hint: str) -> ConfigError:
    return ConfigError(
        f"design '{design.name}' cannot go into the shell: {why}", hint=hint, place=str(design.path)
    )
