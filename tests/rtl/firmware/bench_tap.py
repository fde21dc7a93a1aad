"""cocotb: dwell_tap under random stalls of both sides. Started by test_firmware_benches.py."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

WINDOW_LINES, WINDOW_PIXELS, MAX_LINE = 3, 4, 12


class Tap:
    """Drives pixels and the network's ready, records what is taken, dropped and passed on."""

    SETTINGS = {"enable": 1, "never_stall": 0, "external_framing": 1, "restart": 0}
    SIZE = {"line_pixels": 8, "frame_lines": 5}
    SOURCE = ("s_axis_tvalid", "s_axis_tdata", "s_axis_tuser", "s_axis_tlast")

    def __init__(self, dut: Any, seed: int, stall: int, gap: int) -> None:
        self.dut = dut
        self.random = random.Random(seed)
        self.stall, self.gap = stall, gap
        self.taken: list[tuple[int, ...]] = []
        self.passed: list[tuple[int, int, int]] = []
        self.counts = dict.fromkeys(("taken", "dropped", "decided", "frame_started", "owed", "owed_first"), 0)
        self.refused = 0

    async def start(self, **settings: int) -> None:
        dut = self.dut
        for name, value in {**self.SETTINGS, **self.SIZE, **settings}.items():
            getattr(dut, name).value = value
        for name in (*self.SOURCE, "m_axis_tready", "rst_n"):
            getattr(dut, name).value = 0
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst_n.value = 1
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._network())
        await RisingEdge(dut.clk)

    async def _network(self) -> None:
        while True:
            self.dut.m_axis_tready.value = int(self.random.randrange(100) >= self.stall)
            await RisingEdge(self.dut.clk)

    async def _watch(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            await ReadOnly()
            # Between two edges everything is steady: what is read now is what the next edge acts on.
            for name in self.counts:
                self.counts[name] += int(getattr(dut, name).value)
            if int(dut.s_axis_tvalid.value):
                if int(dut.s_axis_tready.value):
                    self.taken.append(tuple(int(getattr(dut, name).value) for name in self.SOURCE[1:]))
                else:
                    self.refused += 1
            if int(dut.m_axis_tvalid.value) and int(dut.m_axis_tready.value):
                self.passed.append(beat(dut, "m"))

    async def send(self, pixel: int, last: int, user: int) -> None:
        dut = self.dut
        while self.random.randrange(100) < self.gap:
            dut.s_axis_tvalid.value = 0
            await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 1
        for name, value in zip(self.SOURCE[1:], (pixel, user, last), strict=False):
            getattr(dut, name).value = value
        while True:
            await ReadOnly()
            ready = int(dut.s_axis_tready.value)
            await RisingEdge(dut.clk)
            if ready:
                break
        dut.s_axis_tvalid.value = 0

    async def rest(self) -> None:
        self.dut.s_axis_tvalid.value = 0
        self.stall = 0
        for _ in range(60):
            await RisingEdge(self.dut.clk)

    def check_counts(self) -> None:
        assert self.counts["taken"] == len(self.taken)
        assert self.counts["decided"] == len(self.passed)
        assert self.counts["taken"] == self.counts["decided"] + self.counts["dropped"]
        assert self.counts["frame_started"] == sum(user for _, _, user in self.passed)
        owed = [owed_of(frame) for frame in frames_of(self.passed)]
        assert self.counts["owed"] == sum(owed)
        assert self.counts["owed_first"] == sum(count > 0 for count in owed)


def beat(dut: Any, side: str) -> tuple[int, int, int]:
    return tuple(int(getattr(dut, f"{side}_axis_{name}").value) for name in ("tdata", "tlast", "tuser"))  # type: ignore[return-value]


def frames_of(beats: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    frames: list[list[tuple[int, int, int]]] = []
    for one in beats:
        if one[2]:
            frames.append([])
        frames[-1].append(one)
    return frames


def owed_of(frame: list[tuple[int, int, int]]) -> int:
    line = column = count = 0
    for _, last, _ in frame:
        count += line >= WINDOW_LINES - 1 and column >= WINDOW_PIXELS - 1
        line, column = (line + 1, 0) if last else (line, column + 1)
    return count


def make_frames(rng: random.Random, count: int) -> list[list[tuple[int, int, int]]]:
    """Frames of unequal lines, some of them too long for the network, some broken off."""
    frames = []
    for _ in range(count):
        lines = [rng.randrange(1, MAX_LINE + 4) for _ in range(rng.randrange(1, 7))]
        frame = [
            (rng.randrange(256), int(x == width - 1), int(y == 0 and x == 0))
            for y, width in enumerate(lines)
            for x in range(width)
        ]
        frames.append(frame[: rng.randrange(1, len(frame) + 1)] if rng.random() < 0.2 else frame)
    return frames


def cut(frame: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The frame without what lies beyond MAX_LINE of a line, whose last pixel within it ends the line."""
    out, column = [], 0
    for pixel, last, user in frame:
        if column < MAX_LINE:
            out.append((pixel, int(last or column == MAX_LINE - 1), user))
        column = 0 if last else column + 1
    return out


@cocotb.test()
async def a_source_that_can_wait_loses_nothing(dut: Any) -> None:
    tap = Tap(dut, seed=1, stall=60, gap=20)
    await tap.start()
    frames = make_frames(tap.random, 40)
    for frame in frames:
        for one in frame:
            await tap.send(*one)
    await tap.rest()
    assert tap.passed == [one for frame in frames for one in cut(frame)]
    assert tap.refused > 100  # it was stalled, or this shows nothing
    tap.check_counts()


@cocotb.test()
async def a_source_that_cannot_wait_is_never_stalled(dut: Any) -> None:
    tap = Tap(dut, seed=2, stall=55, gap=0)
    await tap.start(never_stall=1)
    frames = make_frames(tap.random, 120)
    for frame in frames:
        for one in frame:
            await tap.send(*one)
    await tap.rest()
    assert tap.refused == 0
    assert tap.counts["dropped"] > 100
    tap.check_counts()
    # What came through of each frame is its beginning: a hole would shift every decision after it.
    found = frames_of(tap.passed)
    waiting = [cut(frame) for frame in frames]
    for part in found:
        while waiting and waiting[0][: len(part)] != part:
            waiting.pop(0)
        assert waiting, "pixels that are the beginning of no frame"
        waiting.pop(0)
    assert len(found) > 20


@cocotb.test()
async def frames_are_counted_out_where_the_stream_does_not_mark_them(dut: Any) -> None:
    tap = Tap(dut, seed=3, stall=30, gap=30)
    await tap.start(external_framing=0, line_pixels=7, frame_lines=5)
    pixels = [tap.random.randrange(256) for _ in range(7 * 5 * 4 + 10)]
    for index, pixel in enumerate(pixels):
        await tap.send(pixel, tap.random.randrange(2), tap.random.randrange(2))
        if index == 7 * 5 * 4 + 2:
            await tap.rest()
            dut.restart.value = 1
            await RisingEdge(dut.clk)
            dut.restart.value = 0
            await RisingEdge(dut.clk)
    await tap.rest()
    wanted = [
        (pixel, int(at % 7 == 6), int(at % 35 == 0))
        for at, pixel in [*enumerate(pixels[:143]), *enumerate(pixels[143:])]
    ]
    assert tap.passed == wanted
    tap.check_counts()


@cocotb.test()
async def switched_off_everything_is_dropped_and_counted(dut: Any) -> None:
    tap = Tap(dut, seed=4, stall=0, gap=0)
    await tap.start(enable=0)
    frames = make_frames(tap.random, 12)
    for index, frame in enumerate(frames):
        for place, one in enumerate(frame):
            if index == 4 and place == len(frame) // 2:
                dut.enable.value = 1  # in the middle of a frame: it starts with the next one
            if index == 9 and place == 0:
                await tap.rest()
                dut.enable.value = 0
                await RisingEdge(dut.clk)
            await tap.send(*one)
    await tap.rest()
    assert tap.refused == 0
    assert tap.passed == [one for frame in frames[5:9] for one in cut(frame)]
    tap.check_counts()
