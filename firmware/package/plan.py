"""What the shell needs to know of a design, and whether it can take it."""

from __future__ import annotations

from dataclasses import dataclass

from dwell.errors import ConfigError
from dwell.hls.design import Design

VERSION = (2, 0)
"""Of the register map; a driver refuses another first number."""

EVENT_LOG2 = 9
EVENT_BATCH = 256
DMA_LENGTH_BITS = 23
"""Length field of the DMAs: transfers below 8 MiB."""

_STREAM_BITS = (8, 16, 32, 64)
_MOST_SCORE_BITS = 32


@dataclass(frozen=True)
class ShellPlan:
    """The parameters of `dwell_shell` for one design. All widths in bits."""

    top: str
    network: str
    pixel_bits: int
    net_bits: int
    score_bits: int
    score_frac: int
    score_scale: float
    decision_bits: int
    window: tuple[int, int]
    max_line: int


def plan_shell(design: Design) -> ShellPlan:
    """The shell's parameters. Raises `ConfigError` for a design that this shell cannot carry."""
    if design.style != "stream":
        raise _refuse(
            design, f"its style is {design.style}, the shell takes pixel streams", "convert with --io stream"
        )
    if not design.max_width:
        raise _refuse(
            design,
            f"it takes frames of {design.input.shape} only, the shell takes frames of any size",
            "a chain of valid convolutions of stride 1 in style 'stream' takes frames of any size",
        )
    if not isinstance(design.output.scale, float) or design.output.offset != 0.0:
        raise _refuse(design, "its score has an offset or scales by channel", "end in a score with one scale")
    if design.input.tdata_bits not in _STREAM_BITS:
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
        pixel_bits=design.input.tdata_bits,
        net_bits=design.output.tdata_bits,
        score_bits=kind.width,
        score_frac=kind.frac,
        score_scale=design.output.scale,
        decision_bits=next(bits for bits in _STREAM_BITS if bits > kind.width),
        window=design.window,
        max_line=design.max_width,
    )


def _refuse(design: Design, why: str, hint: str) -> ConfigError:
    return ConfigError(
        f"design '{design.name}' cannot go into the shell: {why}", hint=hint, place=str(design.path)
    )
