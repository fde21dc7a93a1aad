"""cocotb: dwell_event_fifo with more events than it holds. Started by test_firmware_benches.py."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

DEPTH, BATCH = 16, 5
CLOSING_LINE = 0xFFFF


class Events:
    """Pushes records and takes them out, and remembers both."""

    def __init__(self, dut: Any, seed: int, stall: int) -> None:
        self.dut = dut
        self.random = random.Random(seed)
        self.stall = stall
        self.kept: list[int] = []
        self.dropped = self.sent = 0
        self.out: list[tuple[int, int]] = []
        self.held: tuple[int, int] | None = None

    async def start(self) -> None:
        dut = self.dut
        for name in ("rst_n", "push", "record", "flush", "m_axis_tready", "frames", "dropped_count", "stamp"):
            getattr(dut, name).value = 0
        dut.quiet.value = 1
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst_n.value = 1
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._sink())
        await RisingEdge(dut.clk)

    async def _sink(self) -> None:
        while True:
            self.dut.m_axis_tready.value = int(self.random.randrange(100) >= self.stall)
            await RisingEdge(self.dut.clk)

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            if int(dut.push.value):
                if int(dut.dropped.value):
                    self.dropped += 1
                else:
                    self.kept.append(int(dut.record.value))
            self.sent += int(dut.sent.value)
            valid, ready = int(dut.m_axis_tvalid.value), int(dut.m_axis_tready.value)
            if valid:
                now = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value))
                assert self.held in (None, now), "a beat changed while it waited"
                self.held = None if ready else now
                if ready:
                    self.out.append(now)
            else:
                assert self.held is None, "a beat was taken back"

    async def push(self, chance: int, clocks: int) -> None:
        for _ in range(clocks):
            self.dut.push.value = int(self.random.randrange(100) < chance)
            self.dut.record.value = self.random.getrandbits(128) & ~(1 << 47)  # no event has line 0xFFFF
            await RisingEdge(self.dut.clk)
        self.dut.push.value = 0

    async def flush(self) -> None:
        self.dut.flush.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.flush.value = 0
        for _ in range(400):
            await RisingEdge(self.dut.clk)
            if not int(self.dut.flushing.value) and not int(self.dut.m_axis_tvalid.value):
                return
        raise AssertionError("the flush does not end")

    def batches(self) -> list[list[int]]:
        found: list[list[int]] = [[]]
        for data, last in self.out:
            found[-1].append(data)
            if last:
                found.append([])
        assert found.pop() == [], "the last batch is not closed"
        return found


def closes(data: int) -> bool:
    return (data >> 32) & 0xFFFF == CLOSING_LINE


async def run(dut: Any, seed: int, stall: int, chance: int, rounds: int) -> Events:
    events = Events(dut, seed, stall)
    await events.start()
    dut.frames.value, dut.dropped_count.value, dut.stamp.value = 7, 11, 13
    for _ in range(rounds):
        await events.push(chance, events.random.randrange(1, 60))
        await events.flush()
    found = [data for batch in events.batches() for data in batch]
    assert [data for data in found if not closes(data)] == events.kept
    assert events.sent == len(events.kept)
    assert [closes(data) for data in found].count(True) == rounds
    for data in found:
        if closes(data):
            assert data == 13 << 96 | 11 << 64 | CLOSING_LINE << 32 | 7
    for batch in events.batches():
        assert len(batch) <= BATCH
        assert all(not closes(data) for data in batch[:-1])
        assert closes(batch[-1]) or len(batch) == BATCH
    return events


@cocotb.test()
async def few_events(dut: Any) -> None:
    events = await run(dut, seed=1, stall=40, chance=10, rounds=40)
    assert events.dropped == 0
    assert len(events.kept) > 40


@cocotb.test()
async def more_events_than_it_holds(dut: Any) -> None:
    events = await run(dut, seed=2, stall=70, chance=70, rounds=40)
    assert events.dropped > 50
    assert len(events.kept) > 200


@cocotb.test()
async def a_flush_waits_for_what_is_on_its_way(dut: Any) -> None:
    events = Events(dut, seed=3, stall=0)
    await events.start()
    dut.quiet.value = 0
    dut.flush.value = 1
    await RisingEdge(dut.clk)
    dut.flush.value = 0
    for _ in range(50):
        await RisingEdge(dut.clk)
    assert events.out == []
    await events.push(100, 1)
    dut.quiet.value = 1
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert [closes(data) for data, _ in events.out] == [False, True]
