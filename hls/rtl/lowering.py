"""From nodes of a chain to hardware stages: one window and one pipelined kernel a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dwell.hls.qmodel import Conv2D, Node, QModel
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.kernel.make import make_kernel, pixel_ranges
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.support import check_chain, layer_groups

#: When the newest column reaches a kernel, in adder levels: a block RAM answers later than a register.
MEMORY_ARRIVAL = 1.8


@dataclass(frozen=True)
class Window:
    """The taps of a streamed layer."""

    height: int
    width: int
    dilation: tuple[int, int]

    @property
    def rows(self) -> int:
        """Rows above the newest one that must be kept."""
        return (self.height - 1) * self.dilation[0]

    @property
    def columns(self) -> int:
        """Columns to the left of the newest one that must be kept."""
        return (self.width - 1) * self.dilation[1]

    @property
    def latency(self) -> int:
        """Clocks from a pixel to its window."""
        return 1 if self.height > 1 else 0


@dataclass(frozen=True)
class Stage:
    """One layer in hardware. `nodes` are those of the graph that it computes, the first one names it.

    `pixel` are the channels of one tap; `window` is None where the kernel works on single pixels.
    """

    nodes: tuple[Node, ...]
    window: Window | None
    pixel: tuple[Range, ...]
    kernel: Kernel

    @property
    def name(self) -> str:
        return self.kernel.name

    @property
    def latency(self) -> int:
        """Clocks from its input to its registered result."""
        return self.kernel.latency + (self.window.latency if self.window else 0)

    @property
    def pixel_bits(self) -> int:
        return sum(span.bits for span in self.pixel)

    @property
    def result(self) -> tuple[Range, ...]:
        return self.kernel.result


def lower(model: QModel, options: RtlOptions) -> tuple[Stage, ...]:
    """The stages of a design, from input to output.

    Raises `UnsupportedLayerError`, `ConfigError` or `ResourceError` for what the chain cannot carry.
    """
    check_chain(model, options)
    # Every code of the type, also one that the input's own cast would never give: the port can carry it.
    channels = pixel_ranges(model.tensors[model.input])
    stages: list[Stage] = []
    for group in layer_groups(model):
        stages.append(_lower_group(model, group, channels, options))
        channels = stages[-1].result
    return tuple(stages)


def _lower_group(
    model: QModel, group: Sequence[Node], channels: tuple[Range, ...], options: RtlOptions
) -> Stage:
    head = group[0]
    window: Window | None = None
    if isinstance(head, Conv2D):
        window = Window(head.weight.shape[0], head.weight.shape[1], head.dilation)
    taps = channels * (window.height * window.width if window else 1)
    arrival = _arrival(window, len(channels), len(taps))
    kernel = make_kernel(
        group, model.tensors, taps, cutoff=options.latency_cutoff, arrival=arrival, passes=options.passes
    )
    return Stage(tuple(group), window, channels, kernel)


def _arrival(window: Window | None, channels: int, inputs: int) -> list[float]:
    if window is None or window.latency == 0:
        return [0.0] * inputs
    newest = [0.0] * (channels * (window.width - 1)) + [MEMORY_ARRIVAL] * channels
    return newest * window.height
