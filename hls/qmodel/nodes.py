"""The nodes of an integer graph.

Arrays are channels-last and have no batch axis. Everything here is frozen; arrays are made read-only when
a node is built. `frac` of an output is fixed by its node, as each one's text says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dwell.hls.qmodel.types import Codes, FixedPoint, Overflow, Rounding, frozen_codes


@dataclass(frozen=True)
class Input:
    """Float frames to codes of the output tensor's type: the first cast, on which both ends agree."""

    name: str
    inputs: tuple[str, ...]
    output: str
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.SAT


@dataclass(frozen=True, eq=False)
class Conv2D:
    """Convolution (correlation, as every framework has it) with an exact accumulator.

    `weight` is (kh, kw, cin, cout) codes of `weight_type`, `bias` (cout,) codes with `bias_frac`
    fraction bits; `stride` and `dilation` are (rows, columns), `padding` counts zeros at (top, bottom,
    left, right). With `groups`, output channel j reads input channels g*cin .. g*cin + cin - 1 of its group
    g = j // (cout / groups), so that a depthwise convolution has cin = 1. The output has
    max(input frac + weight frac, `bias_frac`) fraction bits and is wide enough that nothing is lost.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    weight: Codes
    weight_type: FixedPoint
    bias: Codes
    bias_frac: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen_codes(self.weight))
        object.__setattr__(self, "bias", frozen_codes(self.bias))


@dataclass(frozen=True, eq=False)
class Dense:
    """Matrix product over the last axis; `weight` is (cin, cout), all else as in `Conv2D`."""

    name: str
    inputs: tuple[str, ...]
    output: str
    weight: Codes
    weight_type: FixedPoint
    bias: Codes
    bias_frac: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen_codes(self.weight))
        object.__setattr__(self, "bias", frozen_codes(self.bias))


@dataclass(frozen=True, eq=False)
class Affine:
    """Each channel times its own factor, plus its own bias: `weight` and `bias` are (C,) or (1,) codes.

    The output has max(input frac + weight frac, `bias_frac`) fraction bits, and nothing is lost.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    weight: Codes
    weight_type: FixedPoint
    bias: Codes
    bias_frac: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", frozen_codes(self.weight))
        object.__setattr__(self, "bias", frozen_codes(self.bias))


@dataclass(frozen=True)
class Relu:
    """max(0, x); the output type is unsigned and has the input's fraction bits."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class LeakyRelu:
    """x where x >= 0, else x times its channel's `slope` code (C,) or (1,), of `slope_frac` fraction bits.

    The output has input frac + `slope_frac` fraction bits, and nothing is lost.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    slope: Codes
    slope_frac: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", frozen_codes(self.slope))


@dataclass(frozen=True)
class Clip:
    """min(max(x, `lo`), `hi`), codes of the input's fraction, which the output keeps."""

    name: str
    inputs: tuple[str, ...]
    output: str
    lo: int
    hi: int


@dataclass(frozen=True)
class Cast:
    """Requantize: round, then overflow, to one type or to one type per channel (last axis).

    The output tensor has the largest fraction of `types`; codes of coarser channels are shifted up
    to it. A type of width 0 stands for a channel that is always zero.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    types: tuple[FixedPoint, ...]
    rounding: Rounding
    overflow: Overflow

    @property
    def frac(self) -> int:
        """Fraction bits of the output."""
        return max((t.frac for t in self.types if t.width > 0), default=max(t.frac for t in self.types))


@dataclass(frozen=True, eq=False)
class Table:
    """Any function of one integer, by its steps: ``levels[r, number of breaks[r] that are <= x]``.

    `breaks` (R, T) codes of the input, in rising order along the last axis (equal ones allowed), `levels`
    (R, T + 1) codes of the output; R is 1 or the number of channels. Levels need not rise. A channel
    with fewer steps has breaks above every code that can occur. The output's fraction, scale and offset
    are free.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    breaks: Codes
    levels: Codes

    def __post_init__(self) -> None:
        object.__setattr__(self, "breaks", frozen_codes(self.breaks))
        object.__setattr__(self, "levels", frozen_codes(self.levels))


class Pooling(StrEnum):
    """What a pooling window gives."""

    MAX = "max"
    SUM = "sum"  # an average, when the output's scale (or a shift of its fraction) says so


@dataclass(frozen=True)
class Pool2D:
    """Maximum or exact sum over windows of `size` (rows, columns) of a (rows, columns, channels) tensor.

    `padding` is (top, bottom, left, right): left out of a maximum, zeros in a sum. A global pooling is one
    whose `size` is the frame. The output has the input's fraction bits plus `shift`: the same codes stand
    for a value 2**shift times smaller, which makes a sum over a power of two of pixels their exact mean.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    pooling: Pooling
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    shift: int = 0


@dataclass(frozen=True)
class Add:
    """Sum of two tensors of one shape and one scale; the output has the larger of their fractions."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Multiply:
    """Product, element by element, of two tensors of one shape; fractions add up, scales multiply."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Concat:
    """Two or more tensors side by side in the last axis; all else equal. Codes are aligned to the largest fraction."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Upsample:
    """Each pixel of a (rows, columns, channels) tensor repeated `factor` (rows, columns) times."""

    name: str
    inputs: tuple[str, ...]
    output: str
    factor: tuple[int, int]


@dataclass(frozen=True)
class TopK:
    """Indices (k,) along the last axis of the `k` largest codes, largest first, of equal ones the lowest index first.

    The output is ufixed with no fraction. `k` = 1 is the argmax.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    k: int = 1


@dataclass(frozen=True, eq=False)
class Softmax:
    """Softmax over the last axis in integers: ``floor((e_i << frac) / sum of e)``, at most the highest code.

    ``e_i = exponentials[min(max(x) - x_i, D - 1)]``: `exponentials` (D,) are unsigned codes that fall
    from their largest at 0. `frac` is that of the output, which is unsigned. The error against the real
    softmax is stated by whoever builds the table.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    exponentials: Codes
    frac: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponentials", frozen_codes(self.exponentials))


@dataclass(frozen=True)
class Transpose:
    """The axes in another order: output axis i is input axis `axes[i]`."""

    name: str
    inputs: tuple[str, ...]
    output: str
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    """Elements `start` .. `stop` - 1 of one axis (the axis stays)."""

    name: str
    inputs: tuple[str, ...]
    output: str
    axis: int
    start: int
    stop: int


@dataclass(frozen=True)
class Flatten:
    """All axes into one, in C order (channels fastest)."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Reshape:
    """Another shape of the same codes, in C order."""

    name: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
