"""What a circuit is made of: each node is one hardware primitive of ``lib/``, and is computed here on int64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.errors import InternalError
from dwell.hls.rtl.circuit.casts import Requantize

Codes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tap:
    """Input number `index` of the circuit."""

    index: int


@dataclass(frozen=True)
class Constant:
    """A fixed code."""

    code: int


@dataclass(frozen=True)
class ShiftAdd:
    """``(a * 2**a_up ± b * 2**b_up) / 2**drop``; the bits dropped are always zero."""

    a: int
    b: int
    a_up: int
    b_up: int
    subtract: bool
    drop: int


@dataclass(frozen=True)
class ShiftAdd3:
    """``(a * 2**a_up ± b * 2**b_up ± c * 2**c_up) / 2**drop``; the bits dropped are always zero."""

    a: int
    b: int
    c: int
    a_up: int
    b_up: int
    c_up: int
    minus_b: bool
    minus_c: bool
    drop: int


@dataclass(frozen=True)
class Negate:
    """``-a``."""

    a: int


@dataclass(frozen=True)
class Cast:
    """Activation and quantizer in one."""

    a: int
    rule: Requantize


@dataclass(frozen=True)
class Less:
    """1 where ``a * 2**a_up < b * 2**b_up``, else 0."""

    a: int
    b: int
    a_up: int
    b_up: int


@dataclass(frozen=True)
class Select:
    """``a * 2**a_up`` where the bit `c` is 1, else ``b * 2**b_up``."""

    c: int
    a: int
    b: int
    a_up: int
    b_up: int


@dataclass(frozen=True)
class Lookup:
    """``values[a - lo]``: any function of one code."""

    a: int
    lo: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """``a * b``."""

    a: int
    b: int


Node: TypeAlias = Tap | Constant | ShiftAdd | ShiftAdd3 | Negate | Cast | Less | Select | Lookup | Product


def operands(node: Node) -> tuple[int, ...]:
    """Numbers of the nodes that `node` reads."""
    if isinstance(node, ShiftAdd | Less | Product):
        return node.a, node.b
    if isinstance(node, Select):
        return node.c, node.a, node.b
    if isinstance(node, ShiftAdd3):
        return node.a, node.b, node.c
    if isinstance(node, Negate | Cast | Lookup):
        return (node.a,)
    return ()


def renumbered(node: Node, new: Mapping[int, int]) -> Node:
    """The same node, reading `new[i]` wherever it reads node `i`."""
    if isinstance(node, ShiftAdd | Less | Product):
        return replace(node, a=new[node.a], b=new[node.b])
    if isinstance(node, Select | ShiftAdd3):
        return replace(node, c=new[node.c], a=new[node.a], b=new[node.b])
    if isinstance(node, Negate | Cast | Lookup):
        return replace(node, a=new[node.a])
    return node


def compute(node: Node, values: Sequence[Codes], taps: Codes) -> Codes:
    """Codes of `node`, given those of the nodes before it and of the inputs (N, inputs)."""
    if isinstance(node, Tap):
        return np.asarray(taps[:, node.index])
    if isinstance(node, Constant):
        return np.full(1, node.code, dtype=np.int64)
    if isinstance(node, Negate):
        return -values[node.a]
    if isinstance(node, Cast):
        return node.rule.apply(values[node.a])
    if isinstance(node, Lookup):
        at = values[node.a] - node.lo
        if at.size and (int(at.min()) < 0 or int(at.max()) >= len(node.values)):
            raise InternalError(f"a code leaves a table of {len(node.values)} entries from {node.lo}")
        return np.array(node.values, dtype=np.int64)[at]
    if isinstance(node, Product):
        return values[node.a] * values[node.b]
    left, right = values[node.a] << node.a_up, values[node.b] << node.b_up
    if isinstance(node, Less):
        return (left < right).astype(np.int64)
    if isinstance(node, Select):
        return np.where(values[node.c] == 1, left, right)
    if isinstance(node, ShiftAdd3):
        third = values[node.c] << node.c_up
        total = left + (-right if node.minus_b else right) + (-third if node.minus_c else third)
    else:
        total = left - right if node.subtract else left + right
    if node.drop and np.any(total & ((1 << node.drop) - 1)):
        raise InternalError(f"a sum ({node}) loses bits that are not zero")
    return np.asarray(total >> node.drop, dtype=np.int64)
