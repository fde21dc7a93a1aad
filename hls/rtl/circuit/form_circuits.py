"""From the solver's graph to linear forms, and from forms to adders of a circuit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dwell.hls.rtl.circuit.builder import CircuitBuilder, Range, Signal
from dwell.hls.rtl.circuit.forms import Adder, Forms, Term
from dwell.hls.rtl.circuit.opcodes import ADD, CONSTANT, INPUT, NEGATE, SUBTRACT

if TYPE_CHECKING:
    from alkaid.types import CombLogic


def read_forms(graph: CombLogic, spans: Sequence[Range]) -> tuple[Forms, list[Term | None]] | None:
    """The forms and outputs (None for a zero) of alkaid's graph; None if it holds more than sums and negations."""
    frac = max(span.frac for span in spans)
    forms = Forms([s.lo << (frac - s.frac) for s in spans], [s.hi << (frac - s.frac) for s in spans])
    made: list[Term | None] = []
    for op in graph.ops:
        if op.opcode == INPUT:
            made.append((op.data[0], 1, 0))
        elif op.opcode == NEGATE:
            made.append(_times(made[op.addr[0]], -1, 0))
        elif op.opcode in (ADD, SUBTRACT):
            right = _times(made[op.addr[1]], -1 if op.opcode == SUBTRACT else 1, op.data[0])
            made.append(_plus(forms, made[op.addr[0]], right))
        elif op.opcode == CONSTANT and not op.data[0]:
            made.append(None)
        else:
            return None
    outputs = [
        _times(made[index], -1 if minus else 1, int(up)) if index >= 0 else None
        for index, up, minus in zip(graph.out_idxs, graph.out_shifts, graph.out_negs, strict=True)
    ]
    if any(term is not None and term[2] < 0 for term in outputs):
        return None
    return forms, outputs


def _times(term: Term | None, sign: int, up: int) -> Term | None:
    return None if term is None else (term[0], term[1] * sign, term[2] + up)


def _plus(forms: Forms, a: Term | None, b: Term | None) -> Term | None:
    if a is None or b is None:
        return a or b
    low = min(a[2], b[2])  # shifts may be negative: the graph divides as well
    if a[0] == b[0] and a[1] == -b[1] and a[2] == b[2]:
        return None
    return _times(forms.add((a[0], a[1], a[2] - low), (b[0], b[1], b[2] - low)), 1, low)


def emit(
    builder: CircuitBuilder, forms: Forms, outputs: Sequence[Term | None], inputs: Sequence[Signal]
) -> list[Signal]:
    """The outputs as signals, over `inputs`."""
    roots = {term[0]: term[1] for term in outputs if term is not None}
    signals: dict[int, tuple[Signal, int]] = {}  # what is there, and whether it is the form or minus it
    for number in forms.order():
        adder = forms.adders[number]
        if adder is None:
            signals[number] = inputs[number], 1
        else:
            signals[number] = _adder(builder, forms, number, adder, signals, inputs, roots.get(number))
    results = []
    for term in outputs:
        if term is None:
            results.append(builder.constant(0, 0))
            continue
        signal, sign = signals[term[0]]
        signal = builder.rescaled(signal, term[2])
        results.append(signal if sign * term[1] > 0 else builder.negate(signal))
    return results


def _adder(
    builder: CircuitBuilder,
    forms: Forms,
    number: int,
    adder: Adder,
    signals: dict[int, tuple[Signal, int]],
    inputs: Sequence[Signal],
    wanted: int | None,
) -> tuple[Signal, int]:
    """The signal of a form, or of minus it: as an output wants it, else so that low bits need no carry."""
    _, up = _odd(forms, adder)
    parts = []
    for form, sign, shift in (adder.a, adder.b):
        signal, own = signals[form]
        parts.append((builder.rescaled(signal, shift - up), sign * own, shift))
    (a, sign_a, up_a), (b, sign_b, up_b) = parts
    if sign_a == sign_b:
        polarity, first, second, subtract = sign_a, a, b, False
    else:
        # What is taken away should be the one that is shifted: the low bits of the other are copied.
        positive = sign_a if wanted is None and up_b > up_a else -sign_a if wanted is None else wanted
        polarity, subtract = positive, True
        first, second = (a, b) if sign_a == positive else (b, a)
    span = _span(forms, number, polarity, inputs)
    return builder.add(first, second, subtract=subtract, known=span), polarity


def _odd(forms: Forms, adder: Adder) -> tuple[int, int]:
    total = forms.vector_of(adder.a) + forms.vector_of(adder.b)
    merged = int(np.bitwise_or.reduce(total))
    return merged, (merged & -merged).bit_length() - 1


def _span(forms: Forms, number: int, polarity: int, inputs: Sequence[Signal]) -> Range:
    """The exact interval of a form, or of minus it, in the fraction bits that it has."""
    whole = max(s.range.frac for s in inputs)
    vector = forms.vectors[number]
    frac = max(
        inputs[i].range.frac - ((int(c) & -int(c)).bit_length() - 1) for i, c in enumerate(vector) if c
    )
    lo, hi = forms.lo[number], forms.hi[number]
    if polarity < 0:
        lo, hi = -hi, -lo
    return Range(lo >> (whole - frac), hi >> (whole - frac), frac)
