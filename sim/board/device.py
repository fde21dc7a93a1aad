"""A `pynq` device with a Verilated overlay behind it. Importing this module makes it PYNQ's active device.

PYNQ's own `Overlay`, `MMIO`, `allocate`, `lib.dma` and `register_map` run on it unchanged. Time passes only
while something is asked of it: a register access takes `ACCESS_CLOCKS`, and looking at a busy DMA engine
lets up to `POLL_CLOCKS` pass, less than a Python loop on a real board takes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, ClassVar

from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata

from dwell.errors import DeviceError
from dwell.sim.board.bitstream import read_bitstream
from dwell.sim.board.library import (
    EVENTS_ENGINE,
    FRAMES_ENGINE,
    SHELL_PORT,
    WEIGHTS_PORT,
    Logic,
    Streams,
    build_overlay,
)
from dwell.sim.board.memory import HostCopy, Memory
from dwell.sim.board.processing_system import WORDS_AT_START, in_processing_system

ACCESS_CLOCKS = 8
POLL_CLOCKS = 200
_MEMORY_BASE = 0x1000_0000
_MEMORY_BYTES = 128 << 20
_STATUS_OFFSETS = (0x04, 0x34)
_LENGTH_TO_STREAM = 0x28
_WEIGHTS = "weights"
_RESPONSES = {2: "SLVERR", 3: "DECERR", -1: "no answer"}


class SimulatedDevice(Device):
    """A Zynq-7000 board in a process. Wrong addresses, stale buffers and foreign bitstreams are errors."""

    _probe_priority_ = 10
    seed: ClassVar[int] = 1

    @classmethod
    def _probe_(cls) -> list[SimulatedDevice]:
        return [cls()]

    def __init__(self) -> None:
        super().__init__("dwell-simulated")
        self.name = "dwell simulated board"
        self.arch = "armv7l"
        self.capabilities = {"REGISTER_RW": True}
        self.memory = Memory(_MEMORY_BASE, _MEMORY_BYTES)
        self.logic: Logic | None = None
        self._system = dict(WORDS_AT_START)
        self._regions: list[tuple[int, int, str]] = []
        self._engines: dict[str, int] = {"frames_dma": FRAMES_ENGINE, "events_dma": EVENTS_ENGINE}

    # ---- registers

    def read_registers(self, address: int, length: int) -> bytes:
        """Words at a physical address. Raises `DeviceError` where nothing answers."""
        words = [self._read(address + offset) for offset in range(0, length, 4)]
        return struct.pack(f"<{len(words)}I", *words)

    def write_registers(self, address: int, data: Any) -> None:
        """Write words to a physical address. Raises `DeviceError` where nothing answers."""
        raw = bytes(data)
        if len(raw) % 4:
            raise DeviceError(f"a write of {len(raw)} bytes at {address:#x}: words only")
        for offset in range(0, len(raw), 4):
            self._write(address + offset, struct.unpack_from("<I", raw, offset)[0])

    def _read(self, address: int) -> int:
        if in_processing_system(address):
            return self._system.get(address, 0)
        name, offset = self._decode(address)
        logic = self._running()
        logic.run(ACCESS_CLOCKS)
        engine = self._engines.get(name)
        if engine is not None:
            if offset in _STATUS_OFFSETS:
                logic.poll(engine, offset, POLL_CLOCKS)
            return logic.dma_read(engine, offset)
        response, value = logic.read(_port(name), offset)
        self._answered(response, "read", address)
        return value

    def _write(self, address: int, value: int) -> None:
        if in_processing_system(address):
            self._system[address] = value
            return
        name, offset = self._decode(address)
        logic = self._running()
        logic.run(ACCESS_CLOCKS)
        engine = self._engines.get(name)
        if engine is None:
            self._answered(logic.write(_port(name), offset, value), "write", address)
            return
        if offset == _LENGTH_TO_STREAM and engine == FRAMES_ENGINE:
            self._check_flushed(logic.dma_read(engine, 0x18), value)
        logic.dma_write(engine, offset, value)

    def _decode(self, address: int) -> tuple[str, int]:
        if address % 4:
            raise DeviceError(f"unaligned access at {address:#x}", hint="registers are words")
        for first, last, name in self._regions:
            if first <= address <= last:
                return name, address - first
        raise DeviceError(
            f"DECERR: nothing answers at {address:#010x}",
            hint="on a board this access would end in a bus error; is the overlay loaded?",
        )

    def _running(self) -> Logic:
        if self.logic is None:
            raise DeviceError("no overlay is loaded", hint="load one first")
        return self.logic

    @staticmethod
    def _answered(response: int, what: str, address: int) -> None:
        if response:
            raise DeviceError(
                f"{_RESPONSES.get(response, response)}: {what} at {address:#010x}",
                hint="there is no such register in the firmware, or it cannot be written now",
            )

    def _check_flushed(self, address: int, count: int) -> None:
        stale = self.memory.unflushed(address, count)
        if stale:
            raise DeviceError(
                f"a DMA engine was about to read {count} bytes at {address:#010x}, "
                f"of which {stale} are still in the processor's cache",
                hint="call flush() on the buffer before its transfer",
            )

    # ---- memory

    def allocate(self, shape: Any, dtype: Any = "u4", cacheable: int = 1, **_kind: Any) -> PynqBuffer:
        """A buffer with a copy of its own, as a cache has: see `flush` and `invalidate`."""
        return self.memory.allocate(shape, dtype, self)

    def flush(self, bo: HostCopy, offset: int, vaddr: int, nbytes: int) -> None:
        """The processor's view of a buffer to memory."""
        self.memory.flush(bo, offset, nbytes)

    def invalidate(self, bo: HostCopy, offset: int, vaddr: int, nbytes: int) -> None:
        """Memory to the processor's view of a buffer."""
        self.memory.invalidate(bo, offset, nbytes)

    # ---- the overlay

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """What the hand-off file beside a bitstream says, read by PYNQ's own parser."""
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser

        hand_off = Path(bitfile_name).with_suffix(".hwh")
        if not hand_off.is_file():
            raise DeviceError(
                f"there is no {hand_off.name} beside {bitfile_name}", hint="package the design again"
            )
        parser = RuntimeMetadataParser(Metadata(input=str(hand_off)))
        parser.mem_dict["PSDDR"] = {
            "base_address": 0, "size": self.memory.bytes.size, "idx": 0, "tag": "PSDDR",
            "raw_type": 2, "used": 1, "streaming": False,
        }  # fmt: skip
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Check the bitstream, build what it stands for and start it."""
        bit = Path(bitstream.bitfile_name)
        used = parser or self.get_bitfile_metadata(str(bit))
        self.load(bit, used)
        super().post_download(bitstream, used, self.name)

    def load(self, bit: Path, parser: Any) -> None:
        """Configure the board with a `.bit`, whose hand-off file `parser` has read."""
        content = read_bitstream(bit)
        library = build_overlay(bit.parent / "rtl", content["top"], weights=_WEIGHTS in parser.ip_dict)
        if self.logic is not None:
            self.logic.close()
        self.logic = Logic(library, self.memory.bytes, self.memory.base, _streams(parser), self.seed)
        self._regions = [
            (ip["phys_addr"], ip["phys_addr"] + ip["addr_range"] - 1, name)
            for name, ip in parser.ip_dict.items()
            if "phys_addr" in ip
        ]

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:
        """Nothing to keep: the hand-off file is read each time."""

    def shutdown(self) -> None:
        """Nothing to shut down between overlays."""

    # ---- what only a simulation has

    def simulation(
        self, fault: str | None = None, gap: int | None = None, stall: int = 0, seed: int = 1, run: int = 0
    ) -> dict[str, int]:
        """Plant a fault, set random pauses (per cent), let clocks pass; clocks and pulses so far."""
        logic = self._running()
        if fault is not None:
            logic.plant(fault)
        if gap is not None:
            logic.pause(gap, stall, seed)
        logic.run(run)
        pulses, pulse_clocks = logic.pulses
        return {
            "clocks": logic.clocks,
            "pulses": pulses,
            "pulse_clocks": pulse_clocks,
            "memory_free": self.memory.free_bytes,
        }


def _port(region: str) -> int:
    return WEIGHTS_PORT if region == _WEIGHTS else SHELL_PORT


def _streams(parser: Any) -> Streams:
    """Stream widths and length field from the hand-off file's DMA parameters."""
    parameters = parser.ip_dict["frames_dma"]["parameters"]
    return Streams(
        int(parameters["c_m_axis_mm2s_tdata_width"]) // 8,
        int(parameters["c_s_axis_s2mm_tdata_width"]) // 8,
        int(parameters["c_sg_length_width"]),
    )
