"""The bench: cocotb tests of one design. The job file in `$DWELL_BENCH_JOB` says what to send and to expect.

A phase is an array of input beats with the output beats that have to come. Each test plays one phase and
leaves its record in `record_<phase>.npz`, which the caller compares a second time.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from dwell.sim.bench.recorder import QUIET_CLOCKS, Recorder

RESET_CLOCKS = 8
SURPLUS_CLOCKS = 100
"""Clocks after the last expected beat in which no other may come, beside those a frame may need."""

USER, LAST = 1, 2

SINGLE_BEATS, FLOWING = 24, 32
"""Of long stalls: beats that are taken one by one, and for how many stalls' clocks the flow between lasts at most."""


class Bench:
    """Clock, reset, source, sink and recorder around one design."""

    def __init__(self, dut: Any, name: str) -> None:
        job = json.loads(Path(os.environ["DWELL_BENCH_JOB"]).read_text())
        self.folder = Path(job["folder"])
        self.out_bytes: int = job["out_bytes"]
        self.name = name
        self.dut = dut
        self.phase = dict(np.load(self.folder / f"phase_{name}.npz"))
        self.random = random.Random(f"{job['seed']} {name}")
        self.settle: int = job["settle_clocks"]
        self.recorder = Recorder(dut, most_quiet=QUIET_CLOCKS + 4 * self.settle)
        self.edge = RisingEdge(dut.aclk)
        dut.aresetn.value = 0
        Clock(dut.aclk, 10, unit="ns").start()
        lanes: dict[str, Any] = {"reset_active_level": False, "byte_lanes": 1}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, **lanes)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, **lanes)
        # A design whose weights are fixed has no such port.
        self.weights = None
        if hasattr(dut, "s_axil_awvalid"):
            bus = AxiLiteBus.from_prefix(dut, "s_axil")
            self.weights = AxiLiteMaster(bus, dut.aclk, dut.aresetn, reset_active_level=False)
            for channel in (self.weights.write_if, self.weights.read_if):
                channel.log.setLevel(logging.ERROR)
        self.marks: list[int] = []
        for end in (self.source, self.sink):
            end.log.setLevel(logging.ERROR)

    async def reset(self) -> None:
        """Hold the reset, then release it."""
        self.dut.aresetn.value = 0
        for count in range(RESET_CLOCKS):
            await self.edge
            if count > 2:
                self.recorder.in_reset()
        self.dut.aresetn.value = 1
        await self.edge

    def pause(self, gaps: int, stalls: int) -> None:
        """Let source and sink pause, about that many per cent of the clocks."""
        if gaps:
            self.source.set_pause_generator(pauses(self.random, gaps))
        if stalls:
            self.sink.set_pause_generator(pauses(self.random, stalls))

    def send(self, count: int | None = None) -> None:
        """Queue the phase's beats, or the first `count`; a packet ends where TLAST is."""
        values = [int.from_bytes(row.tobytes(), "little") for row in self.phase["in_data"][:count]]
        flags = self.phase["in_flags"][:count].tolist()
        start = 0
        for index, flag in enumerate(flags):
            if flag & LAST or index == len(flags) - 1:
                users = [f & USER for f in flags[start : index + 1]]
                self.source.send_nowait(AxiStreamFrame(values[start : index + 1], tuser=users))
                start = index + 1

    async def receive(self) -> None:
        """Run until every expected beat is out, and some clocks more in which nothing may come."""
        wanted = len(self.phase["out_flags"])
        assert wanted > 0, "a phase that expects nothing proves nothing"
        try:
            while len(self.recorder.data) < wanted:
                await self.edge
                self.recorder.sample()
            for _ in range(SURPLUS_CLOCKS + self.settle):
                self.recorder.quiet = 0
                await self.edge
                self.recorder.sample()
        finally:
            record = self.recorder.arrays(self.out_bytes)
            marks = np.array(self.marks, dtype=np.uint32)
            np.savez(self.folder / f"record_{self.name}.npz", marks=marks, **record)

    def check(self) -> None:
        """Compare what came out with what was expected, in the recorder and in cocotbext-axi's sink."""
        expected = [int.from_bytes(row.tobytes(), "little") for row in self.phase["out_data"]]
        flags = self.phase["out_flags"].tolist()
        got = list(zip(self.recorder.data, self.recorder.flags, strict=True))
        for index, (wanted, seen) in enumerate(zip(zip(expected, flags, strict=True), got, strict=False)):
            assert wanted == seen, f"decision {index}: expected data, flags {wanted}, got {seen}"
        assert len(got) == len(expected), f"expected {len(expected)} decisions, got {len(got)}"
        sunk: list[int] = []
        while not self.sink.empty():
            sunk += list(self.sink.recv_nowait(compact=False).tdata)
        assert sunk == expected, f"the sink got {len(sunk)} beats that are not those expected"

    async def reload(self) -> None:
        """Bring new weights in and choose them, each time after so many beats; notes when that was asked, and done."""
        for swap in json.loads(str(self.phase["swaps"])):
            while len(self.recorder.in_clocks) < swap["after"]:
                await self.edge
            await self._write(swap["refused"], 0, AxiResp.SLVERR)
            for address, word in swap["writes"]:
                await self._write(address, word)
            self.marks.append(self.recorder.clock)
            await self._write(*swap["control"])
            self.marks.append(self.recorder.clock)
            # Frames of the network before are still inside: their bank is free when they are out.
            for _ in range(2 * self.settle):
                await self.edge

    async def _write(self, address: int, word: int, wanted: AxiResp = AxiResp.OKAY) -> None:
        assert self.weights is not None, "the design has no port for its weights"
        answer = await self.weights.write(address, word.to_bytes(4, "little"))
        got = answer.resp
        assert got == wanted, f"the write of {word:#x} to {address:#x} was answered {got!r}, not {wanted!r}"

    def check_swaps(self) -> None:
        """Each frame's results are wholly those of one network, and no later frame's of an earlier network."""
        networks = [self.phase["out_data"], *self.phase["others"]]
        got = self.recorder.arrays(self.out_bytes)["data"]
        starts, now = self.phase["result_starts"].tolist(), 0
        assert len(got) == starts[-1], f"expected {starts[-1]} decisions, got {len(got)}"
        for frame, (start, stop) in enumerate(pairwise(starts)):
            while now < len(networks) and (networks[now][start:stop] != got[start:stop]).any():
                now += 1
            assert now < len(networks), f"frame {frame} is of no network, or of one that was swapped out"
        assert now == len(networks) - 1, f"the last frame is of network {now} of {len(networks)}"


def pauses(source: random.Random, percent: int) -> Iterator[bool]:
    """Pauses for ever: noise of changing rates, alternate clocks, steady flow, now and then a long stop."""
    while True:
        kind = source.randrange(8)
        length = source.randrange(1, 150)
        rate = source.random() * min(0.95, percent / 50)
        for clock in range(length):
            if kind == 0:
                yield False
            elif kind == 1:
                yield bool(clock % 2)
            elif kind == 2:
                yield source.randrange(100) < percent + 40
            else:
                yield source.random() < rate


def stops(source: random.Random, stop: int) -> Iterator[bool]:
    """Pauses for ever: a stretch of flow, then single clocks of it, `stop` clocks apart."""
    while True:
        for _ in range(source.randrange(1, FLOWING * stop)):
            yield False
        for _ in range(SINGLE_BEATS):
            for _ in range(stop):
                yield True
            yield False


async def play(dut: Any, name: str, gaps: int = 0, stalls: int = 0) -> None:
    """Reset, send a phase, receive, check."""
    bench = Bench(dut, name)
    await bench.reset()
    bench.pause(gaps, stalls)
    bench.send()
    await bench.receive()
    bench.check()


@cocotb.test()
async def full_speed(dut: Any) -> None:
    """No pauses: every decision, and the clocks from which latency and interval follow."""
    await play(dut, "full_speed")


@cocotb.test()
async def gaps(dut: Any) -> None:
    """The source pauses."""
    await play(dut, "gaps", gaps=40)


@cocotb.test()
async def back_pressure(dut: Any) -> None:
    """The sink pauses."""
    await play(dut, "back_pressure", stalls=40)


@cocotb.test()
async def gaps_and_back_pressure(dut: Any) -> None:
    """Both pause."""
    await play(dut, "gaps_and_back_pressure", gaps=30, stalls=30)


@cocotb.test()
async def long_stalls(dut: Any) -> None:
    """The sink takes a beat now and then: every queue in the design is full, then all but empty."""
    bench = Bench(dut, "long_stalls")
    await bench.reset()
    bench.sink.set_pause_generator(stops(bench.random, int(bench.phase["stop"])))
    bench.send()
    await bench.receive()
    bench.check()


@cocotb.test()
async def reset_in_mid_frame(dut: Any) -> None:
    """A reset in the middle, then whole frames: nothing of the first try may show."""
    bench = Bench(dut, "reset_in_mid_frame")
    await bench.reset()
    cut = int(bench.phase["cut"])
    bench.pause(0, 30)
    bench.send(cut)
    while len(bench.recorder.in_clocks) < cut:
        await bench.edge
        bench.recorder.sample()
    await bench.reset()
    bench.source.clear()
    bench.sink.clear()
    bench.recorder.forget()
    bench.send()
    await bench.receive()
    bench.check()


@cocotb.test()
async def frame_cut_short(dut: Any) -> None:
    """A first beat in the middle of a frame: the old frame's results come out, then the new one's.

    They are those of the decisions so far where frames are of any size, else those of the frame with zeros.
    """
    await play(dut, "frame_cut_short", gaps=20, stalls=20)


@cocotb.test()
async def reload_under_load(dut: Any) -> None:
    """Weights are written and swapped, twice, while frames stream at full speed."""
    bench = Bench(dut, "reload_under_load")
    await bench.reset()
    bench.send()
    writing = cocotb.start_soon(bench.reload())
    await bench.receive()
    await writing
    bench.check_swaps()
