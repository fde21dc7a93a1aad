"""What can be said of hls4ml's design of a network without Vitis HLS: bounds from hls4ml's own loops.

hls4ml 1.3.0 writes C++; its resources and clocks are known when Vitis HLS has scheduled it. Its loops are known before
(`nnet_utils/nnet_dense_resource.h`, `nnet_conv_stream.h`, strategy Resource, convolutions as io_stream):

- a matrix of n_in by n_out is a loop of `ReuseFactor` (RF) turns, one a clock, of n_in * n_out / RF products;
- a convolution takes a pixel a turn, and turns that end a window hold that loop: I pixels of input and P results take
  P * RF + I - P clocks at least;
- layers work at the same time on different frames: clocks a frame are those of the slowest, at least;
- a frame alone has to go in through the first layer, and then through every other layer's loop once, at least;
- weights are a memory of RF words, n_in * n_out / RF weights each, for which the code asks block RAM;
- a product is at most one DSP slice; narrow ones Vitis HLS builds of LUTs.

Which RF exist is asked of hls4ml itself. LUT and FF have no such bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, prod

from dwell.hls.qmodel import Conv2D, Dense, QModel

_SHAPES = ((36, 512, 0.5), (18, 1024, 0.5), (72, 512, 1.0), (36, 1024, 1.0), (18, 2048, 1.0))
"""Width and depth of RAMB18E1 and RAMB36E1, and their size in units of the latter."""


@dataclass(frozen=True)
class Layer:
    """A matrix with the pixels it takes and the results it gives for a frame (1 and 1: a dense layer)."""

    name: str
    inputs: int
    outputs: int
    pixels: int
    results: int
    weight_bits: int

    def clocks(self, reuse: int) -> int:
        """Clocks of a frame, at least."""
        return self.results * reuse + self.pixels - self.results

    def products(self, reuse: int) -> int:
        """Products of a clock."""
        return self.inputs * self.outputs // reuse

    def block_rams(self, reuse: int) -> float:
        """Block RAM of the weights, in RAMB36E1, if they go there; none where all are used at once."""
        if reuse == 1:
            return 0.0
        bits = self.products(reuse) * self.weight_bits
        return min(ceil(bits / width) * ceil(reuse / depth) * size for width, depth, size in _SHAPES)


@dataclass(frozen=True)
class Bound:
    """Bounds of a design with those reuse factors: clocks from below, DSP and block RAM from above."""

    reuse: dict[str, int]
    frame_cycles: int
    lone_cycles: int
    dsp: int
    bram36: float


def layers_of(model: QModel) -> tuple[Layer, ...]:
    """All layers with products, in order."""
    found = []
    for node in model.order():
        if isinstance(node, Conv2D):
            pixels, results = (prod(model.tensors[name].shape[:-1]) for name in (node.inputs[0], node.output))
            inputs = prod(node.weight.shape[:-1])
        elif isinstance(node, Dense):
            pixels, results, inputs = 1, 1, node.weight.shape[0]
        else:
            continue
        outputs = int(node.weight.shape[-1])
        found.append(Layer(node.name, int(inputs), outputs, pixels, results, node.weight_type.width))
    return tuple(found)


def bound(layers: Sequence[Layer], clocks: int) -> Bound:
    """The design with the fewest products whose layers take a frame in `clocks` clocks, where hls4ml has one."""
    reuse = {layer.name: _reuse(layer, clocks) for layer in layers}
    later = layers[1:]
    return Bound(
        reuse=reuse,
        frame_cycles=max(layer.clocks(reuse[layer.name]) for layer in layers),
        lone_cycles=layers[0].clocks(reuse[layers[0].name]) + sum(reuse[layer.name] for layer in later),
        dsp=sum(layer.products(reuse[layer.name]) for layer in layers),
        bram36=sum(layer.block_rams(reuse[layer.name]) for layer in layers),
    )


def _reuse(layer: Layer, clocks: int) -> int:
    """The largest reuse factor that keeps up; the smallest where none does."""
    factors = list(legal(layer.inputs, layer.outputs))
    return max((factor for factor in factors if layer.clocks(factor) <= clocks), default=min(factors))


def legal(inputs: int, outputs: int) -> Iterable[int]:
    """The reuse factors that hls4ml takes for a matrix."""
    from hls4ml.backends import get_backend

    factors: list[int] = get_backend("Vitis").get_valid_reuse_factors(inputs, outputs)
    return factors
