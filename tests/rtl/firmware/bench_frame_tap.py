"""cocotb: dwell_frame_tap under random stalls of both sides. Started by test_firmware_benches.py."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from bench_tap import Tap, frames_of
from cocotb.triggers import RisingEdge

Beats = list[tuple[int, int, int]]


class FrameTap(Tap):
    """As the pixels' tap, with frames that are dropped or cut. The source's TLAST is not looked at."""

    SIZE = {}
    SOURCE = ("s_axis_tvalid", "s_axis_tdata", "s_axis_tuser")

    def __init__(self, dut: Any, seed: int, stall: int, gap: int) -> None:
        super().__init__(dut, seed, stall, gap)
        self.beats = int(dut.FRAME_BEATS.value)
        names = ("taken", "dropped", "decided", "frame_started", "frame_dropped", "frame_cut")
        self.counts = dict.fromkeys(names, 0)

    async def send_frames(self, frames: list[Beats]) -> None:
        for frame in frames:
            for one in frame:
                await self.send(*one)
        await self.rest()

    def check_counts(self) -> None:
        counts, found = self.counts, frames_of(self.passed)
        assert counts["taken"] == len(self.taken) == counts["decided"] + counts["dropped"]
        assert counts["decided"] == len(self.passed)
        assert counts["frame_started"] == len(found)
        assert counts["frame_cut"] == sum(len(frame) < self.beats for frame in found[:-1])
        for frame in found:
            assert [last for _, last, _ in frame] == [int(i == self.beats - 1) for i in range(len(frame))]


def marked(rng: random.Random, lengths: list[int]) -> list[Beats]:
    """Frames whose first beat has TUSER; TLAST is noise."""
    return [[(rng.randrange(256), rng.randrange(2), int(i == 0)) for i in range(n)] for n in lengths]


def data(frame: Beats) -> list[int]:
    return [value for value, _, _ in frame]


@cocotb.test()
async def a_source_that_can_wait_loses_nothing(dut: Any) -> None:
    tap = FrameTap(dut, seed=1, stall=60, gap=20)
    await tap.start(external_framing=0)
    frames = [[(tap.random.randrange(256), 0, tap.random.randrange(2)) for _ in range(tap.beats)] * 40]
    await tap.send_frames(frames)
    assert data(tap.passed) == data(frames[0])
    assert len(frames_of(tap.passed)) == 40
    assert tap.refused > 10  # it was stalled, or this shows nothing
    tap.check_counts()


@cocotb.test()
async def a_source_that_cannot_wait_loses_whole_frames(dut: Any) -> None:
    tap = FrameTap(dut, seed=2, stall=55, gap=0)
    await tap.start(external_framing=0, never_stall=1)
    frames = marked(tap.random, [tap.beats] * 200)
    await tap.send_frames(frames)
    assert tap.refused == 0
    found = [data(frame) for frame in frames_of(tap.passed)]
    waiting = [data(frame) for frame in frames]
    for frame in found:
        assert len(frame) == tap.beats, "a torn frame"
        while waiting.pop(0) != frame:
            pass
    assert tap.counts["frame_dropped"] == len(frames) - len(found) > 20
    assert tap.counts["dropped"] == tap.beats * tap.counts["frame_dropped"]
    assert len(found) > 20
    tap.check_counts()


@cocotb.test()
@cocotb.parametrize(never_stall=[0, 1])
async def frames_that_the_source_cuts_or_overfills(dut: Any, never_stall: int) -> None:
    tap = FrameTap(dut, seed=3 + never_stall, stall=50, gap=10)
    await tap.start(never_stall=never_stall)
    lengths = [tap.random.choice((tap.beats, tap.random.randrange(1, tap.beats + 4))) for _ in range(150)]
    stray = [(7, 0, 0)] * 3  # before the first mark: of no frame
    frames = marked(tap.random, lengths)
    await tap.send_frames([stray, *frames])
    found = [data(frame) for frame in frames_of(tap.passed)]
    waiting = [data(frame)[: tap.beats] for frame in frames]
    if never_stall:
        assert tap.refused == 0
        assert tap.counts["frame_dropped"] == len(waiting) - len(found) > 0
        for frame in found:
            while waiting.pop(0) != frame:
                pass
    else:
        assert found == waiting
        assert tap.counts["frame_dropped"] == 0
    assert tap.counts["frame_cut"] > 0 or tap.beats == 1
    tap.check_counts()


@cocotb.test()
async def switched_off_or_restarted_in_the_middle(dut: Any) -> None:
    tap = FrameTap(dut, seed=5, stall=0, gap=0)
    await tap.start(external_framing=0, enable=0)
    part = tap.beats // 2
    await tap.send_frames(marked(tap.random, [tap.beats + 1]))
    assert tap.counts["dropped"] == tap.beats + 1
    for name in ("enable", "restart"):
        dut.enable.value = 1
        await RisingEdge(dut.clk)
        await tap.send_frames(marked(tap.random, [part]))  # the rest of it never comes
        getattr(dut, name).value = int(name == "restart")
        await RisingEdge(dut.clk)
        dut.restart.value = 0
        dut.enable.value = 1
        await RisingEdge(dut.clk)
        await tap.send_frames(marked(tap.random, [tap.beats, tap.beats]))
    wanted = [part, tap.beats, tap.beats] if part else [tap.beats, tap.beats]
    assert [len(frame) for frame in frames_of(tap.passed)] == wanted * 2
    assert tap.counts["frame_cut"] == (2 if part else 0)
    tap.check_counts()
