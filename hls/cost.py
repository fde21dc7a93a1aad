"""What a layer costs in our own adder graphs, without synthesizing it: a model fitted to measured points.

The graph of the layer's own weights is built, and the bits of its adders, of two terms or of three, are counted.
Kernels of the vacancy network at several widths, synthesized by Yosys, gave the coefficients; `bench/hessian_bits.py
--calibrate` prints them again with their error. A cost is an estimate, for comparing widths; it is never reported as
a LUT count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dwell.hls.rtl.kernel.kernel import Kernel

LUT_PER_ADDER_BIT = 0.947
LUT_PER_OUTPUT_BIT = 0.78
"""Least squares of the relative error over 8 kernels of 128 to 2,042 LUT (weights of 3 to 7 bits)."""
KERNEL_ERROR = 0.028
"""Root mean square of the relative error over those points; the largest was 0.06."""


@dataclass(frozen=True)
class LayerCost:
    """Estimated LUTs of a kernel, its pipeline in clocks, and the bits of the adders that it is made of."""

    lut: float
    latency_cycles: int
    adder_bits: int
    output_bits: int


def convolution_cost(
    codes: npt.NDArray[np.int64],
    fracs: Sequence[int],
    *,
    input_bits: int,
    output_bits: int | None,
    bias: npt.NDArray[np.floating] | None = None,
    latency_cutoff: float = 4.0,
) -> LayerCost:
    """A streamed convolution of unsigned `input_bits` with ReLU to unsigned `output_bits` (None: the sum itself).

    `codes` is (outputs, inputs, rows, columns), a weight of output j being ``code * 2**-fracs[j]``; `bias`
    (outputs,) in units of the input's step, `latency_cutoff` as in `RtlOptions`.
    """
    kernel = convolution_kernel(
        codes, fracs, input_bits=input_bits, output_bits=output_bits, bias=bias, latency_cutoff=latency_cutoff
    )
    adders, outputs = kernel_bits(kernel)
    lut = LUT_PER_ADDER_BIT * adders + LUT_PER_OUTPUT_BIT * outputs
    return LayerCost(lut, kernel.latency, adders, outputs)


def convolution_kernel(
    codes: npt.NDArray[np.int64],
    fracs: Sequence[int],
    *,
    input_bits: int,
    output_bits: int | None,
    bias: npt.NDArray[np.floating] | None = None,
    latency_cutoff: float = 4.0,
) -> Kernel:
    """The kernel itself; arguments as in `convolution_cost`."""
    from dwell.hls.qmodel import FixedPoint, Overflow, Rounding
    from dwell.hls.qmodel.build import Builder
    from dwell.hls.rtl.kernel.make import make_kernel, pixel_ranges

    frac = max(int(f) for f in fracs)
    up = frac - np.asarray(fracs, dtype=np.int64)
    weight = (np.asarray(codes, dtype=np.int64) << up[:, None, None, None]).transpose(2, 3, 1, 0)
    rows, columns, channels, outputs = weight.shape
    shift = np.zeros(outputs) if bias is None else np.asarray(bias, dtype=np.float64)
    build = Builder()
    at = build.input("x", (rows, columns, channels), FixedPoint(False, input_bits, 0))
    at = build.conv2d("conv", at, weight, frac, np.rint(np.ldexp(shift, frac)).astype(np.int64), frac)
    if output_bits is not None:
        at = build.relu("relu", at)
        top = build.tensor(at).type
        kind = FixedPoint(False, output_bits, output_bits - (top.width - top.frac) + 1)
        at = build.cast("act", at, (kind,), Rounding.TRN, Overflow.SAT)
    model = build.finish("kernel", at, [])
    taps = pixel_ranges(model.tensors["x"]) * (rows * columns)
    return make_kernel(model.nodes[1:], model.tensors, taps, cutoff=latency_cutoff)


def kernel_bits(kernel: Kernel) -> tuple[int, int]:
    """Bits of a kernel's adders, and of its outputs."""
    from dwell.hls.rtl.circuit.builder import Negate, ShiftAdd
    from dwell.hls.rtl.circuit.gates import ShiftAdd3

    circuit = kernel.circuit
    adders = sum(
        span.bits
        for node, span in zip(circuit.nodes, circuit.ranges, strict=True)
        if isinstance(node, ShiftAdd | ShiftAdd3 | Negate)
    )
    return adders, kernel.result_bits
