"""cocotb: dwell_scores against a plain search. Started by test_firmware_benches.py."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

CLOCK_STEPS = 10_000


class Shape(NamedTuple):
    """The parameters."""

    lanes: int
    bits: int
    signed: bool
    beats: int

    @property
    def latency(self) -> int:
        return 2 + (self.lanes - 1).bit_length()

    def codes(self, rng: random.Random) -> list[int]:
        """A decision's elements: the ends of the type among them, and equals."""
        low = -(1 << self.bits - 1) if self.signed else 0
        high = low + (1 << self.bits) - 1
        few = [rng.randint(low, high) for _ in range(3)]
        return [rng.choice([low, high, *few]) for _ in range(self.lanes * self.beats)]

    def beat(self, codes: list[int]) -> int:
        mask = (1 << self.bits) - 1
        return sum((code & mask) << self.bits * lane for lane, code in enumerate(codes))


def shape_of(dut: Any) -> Shape:
    names = ("LANES", "ELEMENT_BITS", "SIGNED", "DECISION_BEATS")
    lanes, bits, signed, beats = (int(getattr(dut, name).value) for name in names)
    return Shape(lanes, bits, bool(signed), beats)


@cocotb.test()
@cocotb.parametrize(gap=[0, 50])
async def decisions(dut: Any, gap: int) -> None:
    shape, rng = shape_of(dut), random.Random(gap)
    dut.rst_n.value = dut.s_valid.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_STEPS, unit="step").start())
    for _ in range(12):
        await RisingEdge(dut.clk)
    dut.rst_n.value = 1
    elements = shape.lanes * shape.beats
    sent: list[tuple[int, tuple[int, ...]]] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            if not int(dut.m_valid.value):
                continue
            at, (first, last, tags, found, score, largest) = sent.pop(0)
            assert get_sim_time("step") - at == CLOCK_STEPS * shape.latency
            assert (int(dut.m_first.value), int(dut.m_last.value), int(dut.m_tags.value)) == (
                first,
                last,
                tags,
            )
            if last:
                assert int(dut.m_found.value) == found
            if last and found:
                assert (int(dut.m_score.value), int(dut.m_largest.value)) == (score, largest)

    cocotb.start_soon(watch())
    won = 0
    for number in range(120):
        select = elements + number if number % 10 == 9 else rng.randrange(elements)
        codes = shape.codes(rng)
        found = int(select < elements)
        score = codes[select] & 0xFFFFFFFF if found else 0
        largest = int(codes.index(max(codes)) == select)
        won += largest
        for beat in range(shape.beats):
            while rng.randrange(100) < gap:
                dut.s_valid.value = 0
                await RisingEdge(dut.clk)
            tags = rng.randrange(8)
            dut.s_valid.value, dut.s_tags.value, dut.select.value = 1, tags, select
            dut.s_data.value = shape.beat(codes[beat * shape.lanes :][: shape.lanes])
            last = int(beat == shape.beats - 1)
            # The edge that comes takes it, the first of `latency`.
            sent.append((get_sim_time("step"), (int(beat == 0), last, tags, found, score, largest)))
            await RisingEdge(dut.clk)
    dut.s_valid.value = 0
    for _ in range(shape.latency + 1):
        await RisingEdge(dut.clk)
    assert sent == []
    assert 0 < won < 120 or elements == 1
