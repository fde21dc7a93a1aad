"""cocotb: the shell's registers behind AXI4-Lite. Started by test_firmware_benches.py."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from dwell.firmware.driver.registers import COUNTERS, REGISTERS

STORED = {
    "control": 0x7F,
    "threshold": 0xFFFFFFFF,
    "dead_time": 0xFFFFFFFF,
    "pulse_length": 0xFFFFFFFF,
    "frame_size": 0xFFFFFFFF,
    "select": 0xFFFF,
}


def pauses(seed: int) -> Iterator[bool]:
    rng = random.Random(seed)
    return (rng.random() < 0.5 for _ in itertools.count())


async def begin(dut: Any, *, idle: bool) -> AxiLiteMaster:
    for name in (
        "s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "s_axis_tuser", "m_axis_tready",
        "m_axis_events_tready",
        "net_s_axis_tready", "net_m_axis_tdata", "net_m_axis_tvalid", "net_m_axis_tlast", "net_m_axis_tuser",
    ):  # fmt: skip
        getattr(dut, name).value = 0
    dut.aresetn.value = 0
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    master = AxiLiteMaster(
        AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, dut.aresetn, reset_active_level=False
    )
    for _ in range(4):
        await RisingEdge(dut.aclk)
    dut.aresetn.value = 1
    if idle:
        channels = (master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel,
                    master.read_if.ar_channel, master.read_if.r_channel)  # fmt: skip
        for seed, channel in enumerate(channels):
            channel.set_pause_generator(pauses(seed))
    await RisingEdge(dut.aclk)
    return master


async def read(master: AxiLiteMaster, offset: int) -> int:
    return int.from_bytes((await master.read(offset, 4)).data, "little")


async def write(master: AxiLiteMaster, offset: int, value: int) -> None:
    assert (await master.write(offset, value.to_bytes(4, "little"))).resp == AxiResp.OKAY


@cocotb.test()
@cocotb.parametrize(idle=[False, True])
async def every_register(dut: Any, idle: bool) -> None:
    master = await begin(dut, idle=idle)
    rng = random.Random(5)
    assert await read(master, 0) == 0x4457454C
    kept = {}
    for _ in range(3):
        for name, mask in STORED.items():
            kept[name] = rng.getrandbits(32) & mask
            await write(master, REGISTERS[name][0], kept[name])
        for name, value in kept.items():
            assert await read(master, REGISTERS[name][0]) == value, name
    # One byte of a word.
    offset = REGISTERS["threshold"][0]
    await master.write(offset + 2, b"\x5a")
    assert await read(master, offset) == kept["threshold"] & 0xFF00FFFF | 0x5A0000


@cocotb.test()
async def addresses_without_a_register(dut: Any) -> None:
    master = await begin(dut, idle=True)
    known = {offset for offset, _, _ in REGISTERS.values()}
    writable = {offset for offset, access, _ in REGISTERS.values() if "write" in access}
    for offset in (*range(0, 0x100, 4), 0x400, 0xFFC):
        assert (await master.read(offset, 4)).resp == (AxiResp.OKAY if offset in known else AxiResp.SLVERR)
        wanted = AxiResp.OKAY if offset in writable else AxiResp.SLVERR
        assert (await master.write(offset, bytes(4))).resp == wanted, hex(offset)


@cocotb.test()
async def counters_are_read_whole(dut: Any) -> None:
    """A counter that passes 2**32 between the reads of its halves: the copy holds both from one clock."""
    master = await begin(dut, idle=False)
    dut.u_clocks.count.value = 2**32 - 12
    await RisingEdge(dut.aclk)
    await write(master, REGISTERS["command"][0], 1 << 4)
    low = await read(master, COUNTERS["clocks"])
    for _ in range(30):
        await RisingEdge(dut.aclk)
    high = await read(master, COUNTERS["clocks"] + 4)
    assert high == 0
    assert 2**32 - 12 < low < 2**32
    await write(master, REGISTERS["command"][0], 1 << 4)
    assert await read(master, COUNTERS["clocks"] + 4) == 1


@cocotb.test()
async def strobes_act_once(dut: Any) -> None:
    master = await begin(dut, idle=False)
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while True:
            await RisingEdge(dut.aclk)
            seen += int(dut.clear.value)

    cocotb.start_soon(watch())
    await write(master, REGISTERS["command"][0], 1 << 1)
    for _ in range(10):
        await RisingEdge(dut.aclk)
    assert seen == 1
    assert await read(master, REGISTERS["command"][0]) == 0
