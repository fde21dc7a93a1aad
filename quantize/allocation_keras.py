"""Widths by the Hessian for Keras models, and the quantizers that QKeras is then to use.

traces = estimate_traces(keras_probe(losses, variables), shapes, seed=1)
choices = {name: kernel_choices(kernel, traces.layers[name], ...) for name, kernel in kernels.items()}
found = allocate_bits(choices, {"weight_bits": 4.0 * weights})
config = qkeras_config(found.bits, kernels)
qkeras.QDense(8, name="a", **config["a"])
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dwell import plugins
from dwell.errors import ConfigError
from dwell.quantize.allocation import Choice
from dwell.quantize.hessian import Trace
from dwell.quantize.hessian_job import COST_MODEL, WIDTHS
from dwell.quantize.job import Floats
from dwell.quantize.scales import best_frac

BIAS_BITS = 16


def kernel_choices(
    kernel: Floats, trace: Trace, *, input_bits: int, output_bits: int | None, luts: bool = True
) -> list[Choice]:
    """What each width of a kernel loses and costs: `weight_bits` and, with `luts`, `lut` and `latency_cycles`.

    `kernel` is (inputs, outputs) or (rows, columns, inputs, outputs), as Keras has it; the layer reads unsigned
    `input_bits` and gives unsigned `output_bits` after a ReLU (None: its sums). One scale for the kernel, as
    QKeras has it. Raises `ConfigError` for another shape.
    """
    matrix = _as_convolution(kernel)
    found = []
    for bits in WIDTHS:
        codes, frac = kernel_codes(kernel, bits)
        error = float(((np.ldexp(codes.astype(np.float64), -frac) - kernel) ** 2).sum())
        costs = {"weight_bits": float(bits * kernel.size)}
        if luts:
            cost = plugins.load_plugin(plugins.COSTS, COST_MODEL, place="quantize.bits")(
                _as_convolution(codes),
                [frac] * matrix.shape[0],
                input_bits=input_bits,
                output_bits=output_bits,
            )
            costs |= {"lut": cost.lut, "latency_cycles": float(cost.latency_cycles)}
        found.append(Choice(bits, max(trace.mean_curvature, 0.0) * error, costs))
    return found


def kernel_codes(kernel: Floats, bits: int) -> tuple[NDArray[np.int64], int]:
    """Codes of `bits` bits, two's complement, and their fraction bits, of least squared error."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    frac = best_frac(kernel, low, high)
    scaled = np.ldexp(kernel.astype(np.float64), frac)
    return np.clip(np.rint(scaled), low, high).astype(np.int64), frac


def qkeras_config(bits: Mapping[str, int], kernels: Mapping[str, Floats]) -> dict[str, dict[str, str]]:
    """The quantizers of each layer, as arguments of its form in QKeras."""
    config = {}
    for name, width in bits.items():
        _, frac = kernel_codes(kernels[name], width)
        config[name] = {
            "kernel_quantizer": _quantized_bits(width, frac),
            "bias_quantizer": _quantized_bits(BIAS_BITS, min(frac + 6, BIAS_BITS - 2)),
        }
    return config


def _quantized_bits(width: int, frac: int) -> str:
    """QKeras counts integer bits without the sign."""
    return f"quantized_bits({width},{width - 1 - frac},1,alpha=1.0)"


def _as_convolution(kernel: NDArray[np.generic]) -> NDArray[np.generic]:
    """(outputs, inputs, rows, columns)"""
    if kernel.ndim == 2:
        return kernel.T[:, :, None, None]
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    raise ConfigError(
        f"a kernel of shape {kernel.shape}", hint="dense layers and two-dimensional convolutions have costs"
    )
