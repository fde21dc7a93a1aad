"""A layer's matrix on a matrix-vector unit: widths, what its memories hold, and the unit's instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np

from dwell.errors import InternalError
from dwell.hls.qmodel import Codes, Conv2D, Dense, FixedPoint
from dwell.hls.rtl.circuit.builder import MAX_BITS, Range
from dwell.hls.rtl.folded.folding import Folding
from dwell.hls.rtl.folded.memory import Memory, packed
from dwell.hls.rtl.options import Multiplier

#: Levels of an adder tree between two registers.
TREE_LEVELS = 2

#: Products of two numbers of at most so many bits together are built in logic where `auto` decides: about the
#: look-up tables that a small device has for each of its DSP slices.
_LOGIC_PRODUCT = 40


@dataclass(frozen=True)
class MatrixUnit:
    """What a matrix-vector unit of a layer computes and how wide it is.

    `element` is what each element of its input vector is brought to. `weight` is the type of its weights,
    `frac` the fraction bits of its sums, `sums` their intervals, one for each output. A sum begins with its code
    of `biases` and `offset`, what rounding adds. `rows`: products are built in logic.
    """

    layer: str
    folding: Folding
    element: Range
    weights: Codes
    weight: FixedPoint
    frac: int
    biases: tuple[int, ...]
    sums: tuple[Range, ...]
    rows: bool
    offset: int = 0

    @property
    def acc_bits(self) -> int:
        """Bits of a sum: sums are right modulo their power of two."""
        return self.sum_range.bits

    @property
    def sum_range(self) -> Range:
        """What any of the sums can be."""
        return Range(min(s.lo for s in self.sums), max(s.hi for s in self.sums), self.frac)

    @property
    def up(self) -> int:
        """Places that products lie above the sums' lowest bit."""
        return self.frac - self.element.frac - self.weight.frac

    @property
    def tree(self) -> int:
        """Registers in the adder tree."""
        depth = (self.folding.simd - 1).bit_length()
        return -(-depth // TREE_LEVELS)

    @property
    def latency(self) -> int:
        """Clocks from the start of a vector to its first sums."""
        return self.folding.sf + 4 + self.tree

    def memories(self) -> tuple[Memory, Memory]:
        """Weights and start values, as the folds come."""
        fold, matrix = self.folding, self.weights
        words = []
        for n in range(fold.nf):
            for s in range(fold.sf):
                part = matrix[s * fold.simd : (s + 1) * fold.simd, n * fold.pe : (n + 1) * fold.pe]
                words.append(packed([int(v) for v in part.T.ravel()], self.weight.width))
        starts = [
            packed([b + self.offset for b in self.biases[n * fold.pe : (n + 1) * fold.pe]], self.acc_bits)
            for n in range(fold.nf)
        ]
        width = fold.simd * fold.pe * self.weight.width
        return (
            Memory(self.layer, "weights", width, tuple(words), 2),
            Memory(self.layer, "starts", fold.pe * self.acc_bits, tuple(starts), 1),
        )

    def parameters(self, in_lanes: int, slots: int) -> dict[str, int]:
        """Parameters of `dwell_mvu` for beats of `in_lanes` elements."""
        fold = self.folding
        return {
            "SIMD": fold.simd, "PE": fold.pe, "SF": fold.sf, "NF": fold.nf, "IN_LANES": in_lanes,
            "WORD": lcm(in_lanes, fold.simd), "SLOTS": slots, "A_BITS": self.element.bits,
            "A_SIGNED": int(self.element.signed), "W_BITS": self.weight.width,
            "W_SIGNED": int(self.weight.signed), "UP": self.up, "ACC_BITS": self.acc_bits,
            "ROWS": int(self.rows), "LEVELS": TREE_LEVELS,
        }  # fmt: skip


def flat_matrix(node: Conv2D | Dense) -> Codes:
    """(K, N) weights; a convolution's taps row by row, all channels of each, zero where groups differ."""
    if isinstance(node, Dense) or node.groups == 1:
        return node.weight.reshape(-1, node.weight.shape[-1])
    kh, kw, cin, cout = node.weight.shape
    each = cout // node.groups
    whole = np.zeros((kh * kw, node.groups, cin, cout), dtype=np.int64)
    for group in range(node.groups):
        part = slice(group * each, (group + 1) * each)
        whole[:, group, :, part] = node.weight.reshape(kh * kw, cin, cout)[:, :, part]
    return whole.reshape(kh * kw * node.groups * cin, cout)


def common_range(spans: Sequence[Range]) -> Range:
    """The interval of codes that holds all `spans`, brought to their largest fraction."""
    frac = max(s.frac for s in spans)
    return Range(
        min(s.lo << (frac - s.frac) for s in spans), max(s.hi << (frac - s.frac) for s in spans), frac
    )


def plan_matrix(
    node: Conv2D | Dense,
    folding: Folding,
    spans: Sequence[Range],
    multiplier: Multiplier,
    *,
    any_weights: bool,
) -> MatrixUnit:
    """The unit of `node` for input elements `spans`; `any_weights`: for every weight and bias that its types hold.

    A bias then has as many bits as the sum of products, and `frac` is not narrowed.
    """
    matrix, element = flat_matrix(node), common_range(spans)
    if matrix.shape != (folding.inputs, folding.outputs) or len(spans) != folding.inputs:
        raise InternalError(f"layer '{node.name}': a folding for another matrix")
    kind = node.weight_type
    if not any_weights:
        kind = FixedPoint.holding(int(matrix.min()), int(matrix.max()), node.weight_type.frac)
    frac, bias = _aligned_bias(node, element.frac + kind.frac, narrow=not any_weights)
    up = frac - element.frac - kind.frac
    sums = (
        _any_sums(kind, element, folding, up, frac)
        if any_weights
        else _sums(matrix, spans, element, bias, up, frac)
    )
    unit = MatrixUnit(
        node.name, folding, element, matrix, kind, frac, tuple(bias), tuple(sums),
        rows=in_logic(multiplier, element.bits, kind.width),
    )  # fmt: skip
    if unit.acc_bits > MAX_BITS:
        raise InternalError(f"layer '{node.name}': sums of {unit.acc_bits} bits")
    return unit


def in_logic(multiplier: Multiplier, a: int, b: int) -> bool:
    """Whether products of operands of `a` and `b` bits are built in logic."""
    if multiplier == "auto":
        return a * b <= _LOGIC_PRODUCT or min(a, b) <= 2
    return multiplier == "lut"


def _aligned_bias(node: Conv2D | Dense, point: int, *, narrow: bool) -> tuple[int, list[int]]:
    """Fraction bits of the sums (at least `point`) and the biases as codes of that fraction."""
    frac = node.bias_frac
    codes = [int(b) for b in node.bias]
    while narrow and frac > point and all(b % 2 == 0 for b in codes):
        codes, frac = [b // 2 for b in codes], frac - 1
    whole = max(point, frac)
    return whole, [b << (whole - frac) for b in codes]


def _sums(
    matrix: Codes, spans: Sequence[Range], element: Range, bias: Sequence[int], up: int, frac: int
) -> list[Range]:
    """Each output's interval with these very weights."""
    lows = np.array([s.lo << (element.frac - s.frac) for s in spans], dtype=object)
    highs = np.array([s.hi << (element.frac - s.frac) for s in spans], dtype=object)
    plus, minus = np.maximum(matrix, 0).astype(object), np.minimum(matrix, 0).astype(object)
    low, high = lows @ plus + highs @ minus, highs @ plus + lows @ minus
    return [
        Range((int(a) << up) + b, (int(c) << up) + b, frac) for a, c, b in zip(low, high, bias, strict=True)
    ]


def _any_sums(kind: FixedPoint, element: Range, folding: Folding, up: int, frac: int) -> list[Range]:
    """The interval with any weights of the type, and any bias of as many bits as the products."""
    corners = [w * x for w in (kind.lo, kind.hi) for x in (element.lo, element.hi)]
    products = Range(min(corners) * folding.inputs << up, max(corners) * folding.inputs << up, frac)
    limit = 1 << (products.bits - 1)
    return [Range(products.lo - limit, products.hi + limit - 1, frac)] * folding.outputs
