"""Weights as their framework's own quantizers give them, taken apart into codes and scales."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.frontends.dyadic import exact_codes, least_frac
from dwell.hls.frontends.keras_net.values import Real, one
from dwell.hls.qmodel import Codes

#: A weight with more fraction bits than this has not been quantized.
MAX_WEIGHT_FRAC = 32
#: How far QKeras' x + (q - x) may leave a weight beside its grid, in steps of the grid.
_OFF_GRID = 2.0**-12


@dataclass(frozen=True)
class Weights:
    """``codes * 2**-frac * scale``, the scale (1,) or one for each output channel. `snapped`: to its grid."""

    codes: Codes
    frac: int
    scale: Real = field(default_factory=one)
    snapped: bool = False

    @property
    def values(self) -> Real:
        return np.ldexp(self.codes.astype(np.float64), -self.frac) * self.scale


def taken_apart(values: npt.ArrayLike, quantizer: Any, place: str) -> Weights | None:
    """Codes of quantized `values` (…, C), or None where they are on no grid. Raises `ConfigError` for NaN."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ConfigError(
            f"{place} holds NaN or infinity",
            hint="look at the training, then save the network again",
            place=place,
        )
    grid = _grid(quantizer, array.shape[-1])
    found = _on_grid(array, grid) if grid is not None else None
    if found is not None:
        return found
    smooth = _powers(array) if type(quantizer).__name__.endswith("_po2") else array
    frac = least_frac(smooth, MAX_WEIGHT_FRAC)
    codes = exact_codes(smooth, frac) if frac is not None else None
    if frac is None or codes is None:
        return None
    return Weights(codes, frac, snapped=bool((smooth != array).any()))


def _on_grid(array: Real, grid: Real) -> Weights | None:
    steps = array / grid
    codes = np.rint(steps)
    if np.abs(codes - steps).max(initial=0.0) > _OFF_GRID or np.abs(codes).max(initial=0.0) >= 2.0**31:
        return None
    whole, snapped = codes.astype(np.int64), bool((codes * grid != array).any())
    mantissa, exponent = np.frexp(grid)
    if (mantissa == 0.5).all():  # powers of two: the grid becomes part of the codes
        frac = int(max(0, (1 - exponent).max()))
        return Weights(whole << (frac + exponent - 1).astype(np.int64), frac, snapped=snapped)
    return Weights(whole, 0, grid, snapped=snapped)


def _powers(array: Real) -> Real:
    """The nearest powers of two, signs kept: what `quantized_po2` has before its last, rounded sum."""
    with np.errstate(divide="ignore"):
        near = np.where(array == 0, 0.0, np.sign(array) * np.exp2(np.rint(np.log2(np.abs(array)))))
    return near if np.abs(near - array).max(initial=0.0) <= np.abs(array).max() * _OFF_GRID else array


def _grid(quantizer: Any, channels: int) -> Real | None:
    """The step of each output channel of what a QKeras quantizer has just computed, where it has scales."""
    scale = getattr(quantizer, "scale", None)
    name = type(quantizer).__name__
    if scale is None or not type(quantizer).__module__.startswith("qkeras."):
        return None
    steps = np.asarray(scale, dtype=np.float64).reshape(-1)
    if name == "quantized_bits":
        unsigned = int(quantizer.bits) - int(bool(quantizer.keep_negative))
        steps = steps * 2.0 ** (int(quantizer.integer) - unsigned)
    elif name not in ("binary", "ternary", "stochastic_binary", "stochastic_ternary"):
        return None
    if steps.size not in (1, channels) or not (np.isfinite(steps).all() and (steps > 0).all()):
        return None
    return steps
