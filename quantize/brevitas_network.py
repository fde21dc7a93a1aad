"""The quantized twin in Brevitas: every scale a power of two that is fixed before training.

Types, a value being code * 2**-frac:

- input: ufixed<8,0>, that is 8 bits, frac 8, rounded to the nearest, ties to even, saturated
- weights: signed, symmetric (no lowest code), one frac a layer
- biases: on the grid of the layer's sums (frac of its input plus frac of its weights), 16 bits
- activations: unsigned, one frac a layer, rounded down and saturated
- score: the last layer's sum as it is

Rounding down costs no logic; what it takes away, half a step on average, is given to the bias beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.inject.enum import FloatToIntImplType, ScalingImplType
from brevitas.quant.fixed_point import Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from brevitas.quant.scaled_int import Int16Bias

from dwell.quantize.job import INPUT_FRAC, Codes, FloatLayer, Floats, Layer, Quantizer, exact_codes

INPUT_BITS = 8


def _activation(bits: int, frac: int, rounding: FloatToIntImplType) -> dict[str, Any]:
    return {
        "act_quant": Uint8ActPerTensorFixedPoint,
        "bit_width": bits,
        # Brevitas wants the value one step beyond the largest code.
        "scaling_impl_type": ScalingImplType.CONST,
        "scaling_init": 2.0 ** (bits - frac),
        "float_to_int_impl_type": rounding,
        "return_quant_tensor": True,
    }


class QuantizedChain(torch.nn.Module):  # type: ignore[misc]
    """A chain of quantized convolutions: (B, 1, H, W) to scores (B, 1, h, w).

    `weight_fracs` and `weight_bits` have one entry a layer, `activation_fracs` and `activation_bits` one for
    each but the last.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        weights: Mapping[str, FloatLayer],
        *,
        weight_bits: Sequence[int],
        weight_fracs: Sequence[int],
        activation_bits: Sequence[int],
        activation_fracs: Sequence[int],
    ) -> None:
        super().__init__()
        self.types = {"input": (INPUT_BITS, INPUT_FRAC)}
        self.steps = torch.nn.ModuleDict()
        self.steps["input"] = qnn.QuantIdentity(
            **_activation(INPUT_BITS, INPUT_FRAC, FloatToIntImplType.ROUND)
        )
        for number, layer in enumerate(layers):
            last = number == len(layers) - 1
            half_step = 0.0 if last else 2.0 ** -(activation_fracs[number] + 1)
            bits, frac = weight_bits[number], weight_fracs[number]
            self.steps[layer.name] = _convolution(layer, weights[layer.name], bits, frac, half_step)
            if not last:
                name, kind = f"{layer.name}_out", (activation_bits[number], activation_fracs[number])
                self.types[layer.name] = kind
                self.steps[name] = qnn.QuantReLU(**_activation(*kind, FloatToIntImplType.FLOOR))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (B, 1, h, w) of frames (B, 1, H, W)."""
        for step in self.steps.values():
            x = step(x)
        return x

    def quantizers(self, tensors: Mapping[str, str]) -> tuple[Quantizer, ...]:
        """The quantizers of input and activations; `tensors` says what the file calls each."""
        return tuple(
            Quantizer(name, tensors[name], False, width, frac) for name, (width, frac) in self.types.items()
        )

    def codes(self, frames: Floats) -> tuple[dict[str, Codes], Floats]:
        """Brevitas' own integer codes (N, h, w, C) of every quantizer, and the scores (N, h, w, 1)."""
        found: dict[str, Codes] = {}
        x: Any = torch.from_numpy(np.ascontiguousarray(frames))[:, None]
        grid = 0
        with torch.no_grad():
            for name, step in self.steps.items():
                x = step(x)
                source = name.removesuffix("_out")
                if isinstance(step, qnn.QuantConv2d):
                    grid = _sum_frac(step, grid)
                else:
                    found[source] = x.int().permute(0, 2, 3, 1).numpy().astype(np.int32)
                    grid = self.types[source][1]
        scores = x.permute(0, 2, 3, 1).numpy()
        exact_codes(scores, grid, what="the score")  # the framework's sums have to be exact
        return found, scores

    def zero_weight_share(self) -> float:
        """The part of the weights whose code is 0: they cost nothing in hardware."""
        codes = [s.quant_weight().int() for s in self.steps.values() if isinstance(s, qnn.QuantConv2d)]
        return float(sum(int((c == 0).sum()) for c in codes) / sum(c.numel() for c in codes))


def _sum_frac(step: Any, input_frac: int) -> int:
    return input_frac - round(float(torch.log2(step.quant_weight().scale)))


def _convolution(layer: Layer, floats: FloatLayer, bits: int, frac: int, half_step: float) -> Any:
    made = qnn.QuantConv2d(
        layer.inputs,
        layer.outputs,
        layer.kernel,
        bias=True,
        weight_quant=Int8WeightPerTensorFixedPoint,
        weight_bit_width=bits,
        weight_scaling_impl_type=ScalingImplType.CONST,
        weight_scaling_init=2.0 ** (bits - 1 - frac),
        bias_quant=Int16Bias,
        return_quant_tensor=False,
    )
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(floats.weight))
        made.bias.copy_(torch.from_numpy(floats.bias + np.float32(half_step)))
    return made
