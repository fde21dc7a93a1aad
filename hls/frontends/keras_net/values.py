"""What stands between two Keras layers: a tensor of the integer graph, and what it still has to go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Real: TypeAlias = npt.NDArray[np.float64]
Pads: TypeAlias = tuple[int, int, int, int]
NO_PADS: Pads = (0, 0, 0, 0)
ONE: Real = np.ones(1)
ONE.setflags(write=False)


def one() -> Real:
    """The scale of values that have none."""
    return ONE


@dataclass(frozen=True)
class Step:
    """A float function of each element that the source framework applies: (N, C) to (N, C).

    `affine` is its factor and offset, where it is no more than that: then the output's scale can say it.
    `scales` says that, short of its rounding, it only multiplies by that factor.
    """

    text: str
    function: Callable[[Floats], Floats]
    affine: tuple[Real, Real] | None = None

    @property
    def scales(self) -> bool:
        return self.affine is not None and not self.affine[1].any()

    def tiled(self, channels: int, times: int) -> Step:
        """The same on rows in which its channels repeat `times` times, as after a Flatten."""

        def function(values: Floats) -> Floats:
            return np.asarray(self.function(values.reshape(-1, channels))).reshape(values.shape)

        affine = None
        if self.affine is not None:
            factor, offset = (np.tile(np.broadcast_to(part, channels), times) for part in self.affine)
            affine = (factor, offset)
        return Step(self.text, function, affine)


@dataclass(frozen=True)
class Value:
    """A tensor of the integer graph. Its real values are ``steps(code * 2**-frac * scale)``.

    `scale` is (1,) or (C,) over the last axis; `pads` are rows and columns of zeros (top, bottom, left,
    right) that the next convolution adds. `shape`, where given, is one that it has yet to be brought into: what is
    pending belongs to the channels of the tensor as it is. `noise` bounds, in codes, how far the source's float32
    sums may be from these integers.
    """

    name: str
    scale: Real = field(default_factory=one)
    steps: tuple[Step, ...] = ()
    pads: Pads = NO_PADS
    shape: tuple[int, ...] | None = None
    noise: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether codes are real values but for a power of two, which the tensor's type holds."""
        return not self.steps and bool((self.scale == 1.0).all())

    @property
    def plain(self) -> bool:
        """Whether one scale for all channels is all that codes lack."""
        return not self.steps and bool((self.scale == self.scale[0]).all())

    def then(self, step: Step) -> Value:
        """With one more step."""
        return replace(self, steps=(*self.steps, step))

    def real(self, codes: npt.NDArray[np.generic], frac: int) -> Floats:
        """What the source framework has where this tensor has `codes` (N, C), which may lie between integers."""
        values = (np.ldexp(codes.astype(np.float64), -frac) * self.scale).astype(np.float32)
        for step in self.steps:
            values = np.asarray(step.function(values), dtype=np.float32)
        return values


@dataclass(frozen=True)
class Raw:
    """The network's input before any cast: floats of `shape`. `casts` are those of all that read it, if all do."""

    name: str
    shape: tuple[int, ...]
    casts: tuple[object, ...] = ()


def settled(value: Value) -> Value:
    """Steps that only scale become part of the scale, as where a mean's sum meets the next weights."""
    while value.steps and value.steps[0].scales and value.steps[0].affine is not None:
        factor = value.steps[0].affine[0]
        value = replace(value, scale=value.scale * factor, steps=value.steps[1:])
    return value
