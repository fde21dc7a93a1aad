"""cocotb: the shell round a network of fixed frames. Started by test_firmware_benches.py.

The network is Python: it takes beats, fills up a frame that is cut short, and gives elements that are a
function of the frame. What the shell makes of them is compared with a plain account of the same frames.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from typing import Any, NamedTuple

import cocotb
from bench_registers import begin, read, write
from cocotb.triggers import ReadOnly, RisingEdge

from dwell.firmware.driver import registers as regs

Codes = list[list[int]]
"""Decisions of a frame, each a list of elements."""


class Geometry(NamedTuple):
    """The parameters."""

    beats: int
    input_bits: int
    lines: int
    pixels: int
    lanes: int
    bits: int
    signed: bool
    decision_beats: int
    output_bits: int
    decision_bits: int
    spread: bool = False  # elements from all of their type

    def results(self, frame: list[int]) -> Codes:
        """The elements the network gives for a frame's beats; few values, so that there are equals."""
        rng = random.Random(repr(frame + [0] * (self.beats - len(frame))))
        low, high = (-3, 0) if self.signed else ((1 << self.bits) - 4, (1 << self.bits) - 1)
        if self.spread:
            low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, high)
        count = self.lanes * self.decision_beats
        return [[rng.randint(low, high) for _ in range(count)] for _ in range(self.lines * self.pixels)]

    def packed(self, codes: Codes) -> list[int]:
        """The network's output beats, the last element's sign above them."""
        beats = []
        for decision in codes:
            for at in range(0, len(decision), self.lanes):
                part = decision[at : at + self.lanes]
                word = sum((code & (1 << self.bits) - 1) << self.bits * i for i, code in enumerate(part))
                if part[-1] < 0:
                    word |= -1 << self.bits * self.lanes
                beats.append(word & (1 << self.output_bits) - 1)
        return beats


def geometry_of(dut: Any) -> Geometry:
    names = ("FRAME_BEATS", "INPUT_BITS", "OUTPUT_LINES", "OUTPUT_PIXELS", "LANES", "ELEMENT_BITS", "SIGNED",
             "DECISION_BEATS", "OUTPUT_BITS", "DECISION_BITS")  # fmt: skip
    return Geometry(*(int(getattr(dut, name).value) for name in names))


class Shell:
    """Drives the shell's streams and plays its network; remembers what comes out."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut, self.shape, self.random = dut, geometry_of(dut), random.Random(seed)
        self.stall = {"network_in": 30, "network_out": 30, "decisions": 30, "events": 30}
        self.gap = 20
        self.frames: list[list[int]] = []  # what the network got
        self.owed: deque[tuple[int, int]] = deque()  # output beats: data, TUSER
        self.out: list[list[int]] = [[]]  # packets of decisions
        self.events: list[int] = []
        self.refused = 0

    async def start(self, *, control: int = 0, **settings: int) -> None:
        dut = self.dut
        self.bus = await begin(dut, idle=False)
        cocotb.start_soon(self._clocks())
        for name, value in settings.items():
            await self.set(name, value)
        await self.set("control", regs.CONTROL_ENABLE | control)

    async def set(self, name: str, value: int) -> None:
        await write(self.bus, regs.REGISTERS[name][0], value)

    def ready(self, side: str) -> int:
        return int(self.random.randrange(100) >= self.stall[side])

    async def _clocks(self) -> None:
        """Every clock: drive after the edge, look before the next one."""
        dut = self.dut
        offering = False
        while True:
            room = len(self.owed) < 2 * len(self.shape.packed(self.shape.results([])))
            dut.net_s_axis_tready.value = int(room and self.ready("network_in"))
            dut.m_axis_tready.value = self.ready("decisions")
            dut.m_axis_events_tready.value = self.ready("events")
            offering = bool(self.owed) and (offering or bool(self.ready("network_out")))
            dut.net_m_axis_tvalid.value = int(offering)
            if offering:
                dut.net_m_axis_tdata.value, dut.net_m_axis_tuser.value = self.owed[0]
            await ReadOnly()
            self._look()
            taken = offering and int(dut.net_m_axis_tready.value)
            await RisingEdge(dut.aclk)
            if not int(dut.net_aresetn.value):
                self.owed.clear()
                self.frames.clear()
                offering = False
            elif taken:
                self.owed.popleft()
                offering = False

    def _look(self) -> None:
        dut = self.dut
        if int(dut.net_s_axis_tvalid.value) and int(dut.net_s_axis_tready.value):
            self._take(int(dut.net_s_axis_tdata.value), int(dut.net_s_axis_tuser.value))
        if int(dut.m_axis_tvalid.value) and int(dut.m_axis_tready.value):
            self.out[-1].append(int(dut.m_axis_tdata.value))
            if int(dut.m_axis_tlast.value):
                self.out.append([])
        if int(dut.m_axis_events_tvalid.value) and int(dut.m_axis_events_tready.value):
            self.events.append(int(dut.m_axis_events_tdata.value))

    def _take(self, data: int, user: int) -> None:
        if user:
            if self.frames and len(self.frames[-1]) < self.shape.beats:
                self._answer()
            self.frames.append([])
        self.frames[-1].append(data)
        if len(self.frames[-1]) == self.shape.beats:
            self._answer()

    def _answer(self) -> None:
        beats = self.shape.packed(self.shape.results(self.frames[-1]))
        self.owed.extend((data, int(i == 0)) for i, data in enumerate(beats))

    async def send(self, beats: list[int]) -> None:
        """One frame, or the beginning of one, TUSER at its first beat."""
        dut = self.dut
        for place, beat in enumerate(beats):
            while self.random.randrange(100) < self.gap:
                dut.s_axis_tvalid.value = 0
                await RisingEdge(dut.aclk)
            above = self.random.getrandbits(len(dut.s_axis_tdata) - self.shape.input_bits + 1) >> 1
            dut.s_axis_tdata.value = above << self.shape.input_bits | beat
            dut.s_axis_tvalid.value, dut.s_axis_tuser.value = 1, int(place == 0)
            while True:
                await ReadOnly()
                taken = int(dut.s_axis_tready.value)
                self.refused += not taken
                await RisingEdge(dut.aclk)
                if taken:
                    break
        dut.s_axis_tvalid.value = 0

    def beats(self, count: int = 0) -> list[int]:
        """Beats of a frame, a whole one where no count is given."""
        return [self.random.getrandbits(self.shape.input_bits) for _ in range(count or self.shape.beats)]

    async def finish(self) -> dict[str, int]:
        """Flush the events; the counters."""
        await self.set("command", regs.COMMAND_FLUSH_EVENTS)
        for _ in range(4000):
            await RisingEdge(self.dut.aclk)
            if self.events and self.events[-1] >> 32 & 0xFFFF == 0xFFFF:
                break
        else:
            raise AssertionError("the flush does not end")
        for _ in range(200):
            await RisingEdge(self.dut.aclk)
        self.events.pop()
        await self.set("command", regs.COMMAND_SNAPSHOT)
        found = {}
        for name, offset in regs.COUNTERS.items():
            found[name] = await read(self.bus, offset) | await read(self.bus, offset + 4) << 32
        assert await read(self.bus, regs.STATUS) == 0
        return found


class Trigger(NamedTuple):
    """What a decision is judged by."""

    threshold: int
    select: int = 0
    class_trigger: bool = False
    dead_time: int = 0

    def fires(self, decision: list[int]) -> bool:
        score = decision[self.select]
        first_largest = decision.index(max(decision)) == self.select
        return score >= self.threshold and (first_largest or not self.class_trigger)

    def control(self) -> int:
        return regs.CONTROL_CLASS_TRIGGER if self.class_trigger else 0

    def settings(self) -> dict[str, int]:
        return {
            "threshold": self.threshold & 0xFFFFFFFF,
            "select": self.select,
            "dead_time": self.dead_time,
        }


def expected_events(shape: Geometry, trigger: Trigger, frames: list[list[int]]) -> list[int]:
    """Event records without their stamps."""
    found = []
    for number, frame in enumerate(frames):
        quiet = 0
        for place, decision in enumerate(shape.results(frame)):
            if quiet:
                quiet -= 1
            elif trigger.fires(decision):
                line, pixel = divmod(place, shape.pixels)
                score = decision[trigger.select] & 0xFFFFFFFF
                found.append(score << 64 | pixel << 48 | line << 32 | number)
                quiet = trigger.dead_time
    return found


def expected_beats(shape: Geometry, trigger: Trigger, frame: list[int]) -> list[int]:
    """The beats of the decisions of one frame: the network's, the sign above them, on top: fired."""
    codes = shape.results(frame)
    beats = []
    for place, beat in enumerate(shape.packed(codes)):
        decision, last = divmod(place, shape.decision_beats)
        if shape.signed and beat >> shape.output_bits - 1:
            beat |= (-1 << shape.output_bits) & (1 << shape.decision_bits - 1) - 1
        fired = last == shape.decision_beats - 1 and trigger.fires(codes[decision])
        beats.append(beat | fired << shape.decision_bits - 1)
    return beats


def without_stamp(events: list[int]) -> list[int]:
    return [event & (1 << 96) - 1 for event in events]


@cocotb.test()
@cocotb.parametrize(class_trigger=[False, True])
async def every_decision_comes_out(dut: Any, class_trigger: bool) -> None:
    shell = Shell(dut, seed=1 + class_trigger)
    shell.stall["network_in"] = 60
    shape, elements = shell.shape, shell.shape.lanes * shell.shape.decision_beats
    low = -1 if shape.signed else (1 << shape.bits) - 3
    trigger = Trigger(low, 1 if class_trigger else elements - 1, class_trigger, dead_time=2)
    await shell.start(control=regs.CONTROL_DECISIONS | trigger.control(), **trigger.settings())
    frames = [shell.beats() for _ in range(30)]
    for frame in frames:
        await shell.send(frame)
    counters = await shell.finish()
    assert shell.frames == frames
    assert shell.refused > 10
    assert shell.out == [*(expected_beats(shape, trigger, frame) for frame in frames), []]
    wanted = expected_events(shape, trigger, frames)
    assert without_stamp(shell.events) == wanted
    assert 5 < len(wanted) < len(frames) * shape.lines * shape.pixels
    assert counters["frames"] == 30
    assert counters["pixels"] == counters["pixels_decided"] == 30 * shape.beats
    assert counters["decisions"] == 30 * shape.lines * shape.pixels
    assert counters["triggers"] == counters["events"] == len(wanted)
    dropped = ("pixels_dropped", "decisions_dropped", "events_dropped", "frames_dropped", "frames_cut")
    assert [counters[name] for name in dropped] == [0] * 5


@cocotb.test()
async def marked_frames_some_of_them_cut(dut: Any) -> None:
    shell = Shell(dut, seed=3)
    shape, trigger = shell.shape, Trigger(-2 if shell.shape.signed else (1 << shell.shape.bits) - 3)
    control = regs.CONTROL_EXTERNAL_FRAMING | regs.CONTROL_DECISIONS | regs.CONTROL_LINE_PACKETS
    await shell.start(control=control, **trigger.settings())
    frames = [
        shell.beats(shell.random.choice((shape.beats, shape.beats // 2, shape.beats + 2))) for _ in range(25)
    ]
    frames.append(shell.beats())
    for frame in frames:
        await shell.send(frame)
    counters = await shell.finish()
    cut = [frame[: shape.beats] for frame in frames]
    assert shell.frames == cut
    wanted = [beat for frame in cut for beat in expected_beats(shape, trigger, frame)]
    assert [beat for packet in shell.out for beat in packet] == wanted
    assert {len(packet) for packet in shell.out[:-1]} == {shape.pixels * shape.decision_beats}
    assert without_stamp(shell.events) == expected_events(shape, trigger, cut)
    assert counters["frames_cut"] == sum(len(frame) < shape.beats for frame in frames) > 0
    assert counters["pixels_dropped"] == sum(max(0, len(frame) - shape.beats) for frame in frames)
    assert counters["pixels"] == counters["pixels_decided"] + counters["pixels_dropped"]


@cocotb.test()
async def a_source_that_cannot_wait(dut: Any) -> None:
    shell = Shell(dut, seed=4)
    shell.gap = 0
    shell.shape = shell.shape._replace(spread=True)
    shell.stall |= {"network_in": 75, "decisions": 98}
    shape, trigger = shell.shape, Trigger(-2 if shell.shape.signed else (1 << shell.shape.bits) - 3, 1)
    await shell.start(control=regs.CONTROL_NEVER_STALL | regs.CONTROL_DECISIONS, **trigger.settings())
    frames = [shell.beats() for _ in range(80)]
    for frame in frames:
        await shell.send(frame)
    shell.stall["decisions"] = 0
    counters = await shell.finish()
    assert shell.refused == 0
    waiting = list(frames)
    for frame in shell.frames:
        while waiting.pop(0) != frame:
            pass
    assert 5 < len(shell.frames) < 75
    assert counters["frames"] + counters["frames_dropped"] == 80
    assert counters["frames"] == len(shell.frames)
    assert counters["pixels_dropped"] == counters["frames_dropped"] * shape.beats
    assert counters["pixels"] == 80 * shape.beats
    assert without_stamp(shell.events) == expected_events(shape, trigger, shell.frames)
    assert counters["decisions"] == len(shell.frames) * shape.lines * shape.pixels
    assert counters["decisions_dropped"] > 0
    # Of a frame with a hole its beginning came out, which may end inside a decision.
    sent = [beat for packet in shell.out for beat in packet]
    at = whole = 0
    for frame in shell.frames:
        beats = expected_beats(shape, trigger, frame)
        pairs = zip(beats, sent[at:], strict=False)
        count = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        at += count
        whole += count // shape.decision_beats
    assert at == len(sent)
    assert whole == counters["decisions"] - counters["decisions_dropped"]


@cocotb.test()
async def soft_reset_in_the_middle_of_a_frame(dut: Any) -> None:
    shell = Shell(dut, seed=5)
    shape, trigger = shell.shape, Trigger(-2 if shell.shape.signed else (1 << shell.shape.bits) - 3)
    await shell.start(control=regs.CONTROL_DECISIONS, **trigger.settings())
    await shell.send(shell.beats())
    await shell.send(shell.beats(shape.beats // 2))
    await shell.set("command", regs.COMMAND_SOFT_RESET)
    await shell.set("command", regs.COMMAND_CLEAR)
    for _ in range(40):
        await RisingEdge(dut.aclk)
    shell.out, shell.events = [[]], []
    frames = [shell.beats() for _ in range(6)]
    for frame in frames:
        await shell.send(frame)
    counters = await shell.finish()
    assert shell.frames == frames
    assert shell.out == [*(expected_beats(shape, trigger, frame) for frame in frames), []]
    assert without_stamp(shell.events) == expected_events(shape, trigger, frames)
    assert counters["frames"] == 6
    assert counters["frames_cut"] == 0


@cocotb.test()
async def the_registers_say_what_it_is(dut: Any) -> None:
    shell = Shell(dut, seed=6)
    shape = shell.shape
    await shell.start()
    assert (
        await read(shell.bus, regs.DESIGN) == regs.DESIGN_FRAMES | regs.DESIGN_SIGNED_ELEMENTS * shape.signed
    )
    assert await read(shell.bus, regs.WINDOW) == 0
    streams = await read(shell.bus, regs.STREAM_FORMAT)
    assert streams == shape.bits << 24 | shape.decision_bits << 12 | len(dut.s_axis_tdata)
    assert await read(shell.bus, regs.FRAME_BEATS) == shape.beats
    assert await read(shell.bus, regs.POSITIONS) == shape.lines << 16 | shape.pixels
    elements = shape.lanes * shape.decision_beats
    assert await read(shell.bus, regs.DECISION_FORMAT) == shape.decision_beats << 16 | elements
    assert await read(shell.bus, regs.TAP_DEPTH) == 1 << int(dut.TAP_LOG2.value)
