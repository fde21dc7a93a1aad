"""Passes that make adder graphs smaller: nothing changes but their size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_graphs import graph

from dwell.hls.rtl import library_files
from dwell.hls.rtl.circuit.adders import multiply
from dwell.hls.rtl.circuit.builder import Circuit, CircuitBuilder, Range, ShiftAdd, ShiftAdd3, Tap
from dwell.hls.rtl.circuit.forms import Forms
from dwell.hls.rtl.circuit.fusion import chain_bits, fuse_sums
from dwell.hls.rtl.circuit.passes import NO_PASSES, Passes
from dwell.hls.rtl.circuit.resynthesis import digits, resynthesize
from dwell.hls.rtl.design.device_cells import device_sources
from dwell.hls.rtl.unrolled.check import VECTORS, check_network
from dwell.hls.rtl.unrolled.lower import lower_network

SHARED = Passes(simplify=False, resynthesize=True, fuse=False)


def bits_of(circuit: Circuit) -> float:
    return sum(
        chain_bits(circuit, node, span)
        for node, span in zip(circuit.nodes, circuit.ranges, strict=True)
        if isinstance(node, ShiftAdd | ShiftAdd3)
    )


def product(
    seed: int, passes: Passes, *, rows: int = 12, columns: int = 8
) -> tuple[Circuit, np.ndarray, list[Range]]:
    rng = np.random.default_rng(seed)
    spans = [Range(-int(rng.integers(0, 2)) * 32, 31, int(rng.integers(0, 3))) for _ in range(rows)]
    matrix = rng.integers(-31, 32, (rows, columns)) * (rng.random((rows, columns)) < 0.6)
    builder = CircuitBuilder(spans, passes)
    return builder.finish(multiply(builder, builder.taps, matrix)), matrix, spans


def values(circuit: Circuit, taps: np.ndarray) -> np.ndarray:
    return np.ldexp(circuit.evaluate(taps).astype(float), [-s.range.frac for s in circuit.outputs])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_products_stay_exact(seed: int) -> None:
    taps = np.random.default_rng(seed).integers(0, 32, (200, 12))
    circuit, matrix, spans = product(seed, SHARED)
    wanted = np.ldexp(taps.astype(float), [-s.frac for s in spans]) @ matrix
    np.testing.assert_array_equal(values(circuit, taps), wanted)
    fused = fuse_sums(circuit)
    np.testing.assert_array_equal(values(fused.circuit, taps), wanted)
    assert bits_of(fused.circuit) <= bits_of(circuit)


def test_each_pass_saves() -> None:
    plain, shared = (product(3, passes, rows=16, columns=16)[0] for passes in (NO_PASSES, SHARED))
    assert bits_of(shared) < 0.99 * bits_of(plain)
    assert bits_of(fuse_sums(plain).circuit) < 0.8 * bits_of(plain)


def test_a_chain_of_sums_is_halved() -> None:
    builder = CircuitBuilder([Range(0, 15)] * 5)
    total = builder.taps[0]
    for tap in builder.taps[1:]:
        total = builder.add(total, tap)
    fused = fuse_sums(builder.finish([total]))
    assert [type(n).__name__ for n in fused.circuit.nodes].count("ShiftAdd3") == 2
    assert fused.circuit.adders == 2
    assert fused.place.count(None) == 3


def test_a_shared_sum_is_taken_apart_where_places_are_free() -> None:
    """x + y in two sums of two is dearer than two sums of three; in two sums of three it is not."""
    builder = CircuitBuilder([Range(0, 15)] * 6)
    x, y, *others = builder.taps
    shared = builder.add(x, y)
    two = builder.finish([builder.add(shared, others[0]), builder.add(shared, others[1], subtract=True)])
    assert [type(n).__name__ for n in fuse_sums(two).circuit.nodes if not isinstance(n, Tap)] == [
        "ShiftAdd3"
    ] * 2
    three = builder.finish([builder.add(builder.add(shared, others[i]), others[i + 1]) for i in (0, 2)])
    assert fuse_sums(three).circuit.adders == 3
    taps = np.random.default_rng(1).integers(0, 16, (50, 6))
    for circuit in (two, three):
        np.testing.assert_array_equal(fuse_sums(circuit).circuit.evaluate(taps), circuit.evaluate(taps))


def test_terms_that_meet_again_are_one() -> None:
    """3 (x + y) - 2 x is 3 y + x: taken apart, the tree has no x to take away."""
    builder = CircuitBuilder([Range(0, 15)] * 3)
    x, y, z = builder.taps
    shared = builder.add(x, y)
    three_x = builder.add(builder.rescaled(shared, 1), shared)
    out = builder.add(three_x, builder.rescaled(x, 1), subtract=True)
    circuit = builder.finish([out, builder.add(shared, z)])
    fused = fuse_sums(circuit).circuit
    taps = np.random.default_rng(1).integers(0, 16, (50, 3))
    np.testing.assert_array_equal(fused.evaluate(taps), circuit.evaluate(taps))
    assert bits_of(fused) < bits_of(circuit)


def test_a_sum_that_is_needed_itself_stays() -> None:
    builder = CircuitBuilder([Range(0, 15)] * 3)
    inner = builder.add(builder.taps[0], builder.taps[1])
    circuit = builder.finish([inner, builder.add(inner, builder.taps[2], subtract=True)])
    assert fuse_sums(circuit).circuit.adders == 2


@pytest.mark.parametrize("minus", [(False, False), (True, False), (False, True), (True, True)])
def test_signs_shifts_and_dropped_bits(minus: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        spans = [Range(-8, 7, int(rng.integers(0, 4))) for _ in range(3)]
        builder = CircuitBuilder(spans)
        a, b, c = builder.taps
        inner = builder.add(a, b, subtract=minus[0])
        first, second = (inner, c) if rng.integers(2) else (c, inner)
        circuit = builder.finish([builder.add(first, second, subtract=minus[1])])
        taps = rng.integers(-8, 8, (100, 3))
        fused = fuse_sums(circuit).circuit
        np.testing.assert_array_equal(fused.evaluate(taps), circuit.evaluate(taps))


def test_forms_find_what_is_there() -> None:
    forms = Forms([0, -8], [15, 7])
    total = forms.add((0, 1, 0), (1, 1, 1))  # x + 2 y
    assert forms.find(np.array([-4, -8])) == (total[0], -1, 2)
    assert forms.find(np.array([1, 1])) is None
    assert (forms.lo[total[0]], forms.hi[total[0]]) == (-16, 29)
    again = forms.add((1, 1, 2), (0, 1, 1))
    assert again == (total[0], 1, 1)


def test_release_and_restore() -> None:
    forms = Forms([0] * 3, [1] * 3)
    inner = forms.add((0, 1, 0), (1, 1, 0))
    outer = forms.add(inner, (2, -1, 0))
    forms.uses[outer[0]] += 1
    gone = forms.release(outer[0])
    assert gone == [outer[0], inner[0]] and forms.find(np.array([1, 1, 0])) is None
    forms.restore(gone)
    assert forms.find(np.array([1, 1, -1])) == outer and forms.uses[inner[0]] == 1


def test_a_sum_is_made_of_what_is_there() -> None:
    """x + y + z + w, made of single inputs, when x + y and z + w are outputs already."""
    forms = Forms([0] * 4, [7] * 4)
    chain = forms.add(forms.add(forms.add((0, 1, 0), (2, 1, 0)), (1, 1, 0)), (3, 1, 0))
    outputs = [chain, forms.add((0, 1, 0), (1, 1, 0)), forms.add((2, 1, 0), (3, 1, 0))]
    assert sum(a is not None for a in (forms.adders[i] for i in forms.order())) == 5
    made = resynthesize(forms, outputs)
    assert sum(a is not None for a in (forms.adders[i] for i in forms.order())) == 3
    assert made[0] is not None and forms.vector_of(made[0]).tolist() == [1, 1, 1, 1]


def test_signed_digits() -> None:
    assert digits(np.array([[7, 0], [5, -5], [11, 1]])).tolist() == [2, 4, 4]


@pytest.mark.parametrize("name", ["residual", "classes"])
def test_a_network_with_and_without(name: str) -> None:
    model = graph(name)
    for passes in (NO_PASSES, SHARED, Passes(True, False, True)):
        assert check_network(model, model, lower_network(model, passes)) >= VECTORS


def test_an_edited_module_is_not_exchanged(tmp_path: Path) -> None:
    library = {file.stem: file for file in library_files()}
    copy, edited = tmp_path / "a" / "dwell_add3.v", tmp_path / "b" / "dwell_add3.v"
    for file, more in ((copy, ""), (edited, "// mine\n")):
        file.parent.mkdir()
        file.write_text(library["dwell_add3"].read_text() + more)
    other = library["dwell_delay"]
    assert [p.parent.name for p in device_sources([copy, edited, other], "xc7")] == ["xc7", "b", "lib"]
    assert device_sources([copy], "ice40") == [copy]
