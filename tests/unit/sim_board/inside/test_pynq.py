"""PYNQ's own classes on the simulated device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pynq
import pytest
from pynq import MMIO, Overlay, allocate
from pynq.lib.dma import DMA

from dwell.errors import DeviceError
from dwell.sim.board.device import SimulatedDevice

TRIGGER = 0x43C00000
FRAMES_DMA = 0x40400000


def test_the_overlay_is_pynqs_own(board: Any) -> None:
    overlay = board.overlay
    assert type(overlay) is Overlay
    assert type(overlay.frames_dma) is DMA
    assert type(overlay.trigger).__name__ == "DwellTrigger"
    assert sorted(overlay.ip_dict) == ["events_dma", "frames_dma", "processing_system7_0", "trigger"]
    assert isinstance(pynq.Device.active_device, SimulatedDevice)
    assert overlay.is_loaded()


def test_register_map_from_the_hand_off_file(board: Any) -> None:
    registers = board.overlay.trigger.register_map
    assert int(registers.id) == 0x4457454C
    assert int(registers.version.major) == 2
    registers.threshold = 123
    assert board.trigger.read(0x48) == 123
    assert MMIO(TRIGGER, 0x1000).read(0x48) == 123
    assert int(registers.window.max_line) == board.geometry["max_line"]


@pytest.mark.parametrize("address", [0x43C01000, 0x50000000, 0x40420000, 0x10])
def test_a_wrong_address_is_a_decode_error(board: Any, address: int) -> None:
    with pytest.raises(DeviceError, match="DECERR"):
        MMIO(address, 16).read(0)
    with pytest.raises(DeviceError, match="DECERR"):
        MMIO(address, 16).write(0, 1)


def test_a_register_that_is_not_there_is_a_slave_error(board: Any) -> None:
    mmio = MMIO(TRIGGER, 0x1000)
    with pytest.raises(DeviceError, match=r"SLVERR: read at 0x43c00ffc"):
        mmio.read(0xFFC)
    with pytest.raises(DeviceError, match=r"SLVERR: write at 0x43c00000"):
        mmio.write(0, 1)  # ID can only be read
    assert mmio.read(0) == 0x4457454C


def test_unaligned_access(board: Any) -> None:
    with pytest.raises(MemoryError):
        MMIO(TRIGGER, 0x1000).read(2)
    with pytest.raises(DeviceError, match="unaligned"):
        MMIO(TRIGGER + 2, 16).read(0)


def test_an_unflushed_buffer_is_an_error(board: Any) -> None:
    board.reset()
    buffer = allocate((64,), dtype=np.uint8)
    buffer[:] = 7
    mmio = MMIO(FRAMES_DMA, 0x10000)
    mmio.write(0x18, buffer.physical_address)
    with pytest.raises(DeviceError, match=r"64 are still in the processor's cache"):
        mmio.write(0x28, 64)
    buffer.flush()
    mmio.write(0x28, 64)
    board.reset()


def test_memory_that_was_not_invalidated_is_stale(board: Any) -> None:
    buffer = allocate((16,), dtype=np.uint8)
    device = board.overlay.device
    at = buffer.physical_address - device.memory.base
    device.memory.bytes[at : at + 16] = 9
    assert not (np.asarray(buffer) == 9).any()
    buffer.invalidate()
    assert (np.asarray(buffer) == 9).all()


def test_fresh_memory_is_not_zero(board: Any) -> None:
    buffer = allocate((16,), dtype=np.uint8)
    buffer.invalidate()
    assert (np.asarray(buffer) == 0xA5).all()


def test_memory_comes_back(board: Any) -> None:
    device = board.overlay.device
    free = device.memory.free_bytes
    buffer = allocate((1 << 20,), dtype=np.uint8)
    part = buffer[100:200]
    del buffer
    assert device.memory.free_bytes == free - (1 << 20)
    del part
    assert device.memory.free_bytes == free
    with pytest.raises(MemoryError, match="contiguous"):
        allocate((1 << 30,), dtype=np.uint8)


def test_a_dma_to_an_address_without_memory(board: Any) -> None:
    board.reset()
    mmio = MMIO(FRAMES_DMA, 0x10000)
    mmio.write(0x18, 0x80000000)
    mmio.write(0x28, 64)
    assert mmio.read(0x04) & 0x40  # decode error
    assert mmio.read(0x04) & 0x1  # halted
    from dwell_board.errors import TransferError

    with pytest.raises(TransferError, match="decode error"):
        board._send.done()
    board.reset()
    assert not mmio.read(0x04) & 0x41


def test_a_transfer_beyond_the_length_field(board: Any) -> None:
    board.reset()
    buffer = allocate(((1 << 23) + 64,), dtype=np.uint8)
    from dwell_board.errors import TransferError

    with pytest.raises(TransferError, match="do not fit the DMA's length field"):
        board._send.start(buffer)
    board.reset()


def test_a_packet_longer_than_its_buffer(board: Any) -> None:
    board.configure(0, lines=12, pixels=30)
    lines, pixels = board.geometry["window_lines"], board.geometry["window_pixels"]
    board._buffers["decisions"] = None
    real = board._buffer

    def short(name: str, shape: Any, dtype: Any) -> Any:
        return real(name, (shape[0] - 1, shape[1]) if name == "decisions" else shape, dtype)

    board._buffer = short
    try:
        from dwell_board.errors import TransferError

        with pytest.raises(TransferError, match="more data than the buffer holds"):
            board.process_frame(np.zeros((12, 30), dtype=np.uint8))
    finally:
        del board._buffer
    board.configure(0, lines=12, pixels=30)
    found = board.process_frame(np.zeros((12, 30), dtype=np.uint8))
    assert found.scores.shape == (12 - lines + 1, 30 - pixels + 1)


def test_a_source_that_cannot_wait_is_not_held_up_by_decisions(board: Any) -> None:
    """Nobody takes the decisions: they are dropped and counted, and the pixels go through."""
    from dwell_board import registers as regs

    board.configure(0, lines=12, pixels=30)
    board.clear()
    board.trigger.write(regs.CONTROL, regs.CONTROL_ENABLE | regs.CONTROL_NEVER_STALL | regs.CONTROL_DECISIONS)
    buffer = allocate((12, 30), dtype=np.uint8)
    buffer[:] = 5
    board._send.start(buffer)
    board._send.wait(2.0, board.trigger.describe_status)
    found = board.counters()
    assert found["pixels"] == found["pixels_decided"] == 360
    assert found["pixels_dropped"] == 0
    waiting = 4  # what the stream's own FIFO holds
    assert found["decisions_dropped"] == found["decisions"] - waiting > 100
    board.reset()
    board.configure(0, lines=12, pixels=30)
    assert board.process_frame(np.zeros((12, 30), dtype=np.uint8)).scores.size == found["decisions"]


def test_switched_off_pixels_are_dropped_and_counted(board: Any) -> None:
    board.configure(0, lines=12, pixels=30)
    board.clear()
    board._write_control(0)
    buffer = allocate((12, 30), dtype=np.uint8)
    board._send.start(buffer)
    board._send.wait(2.0, board.trigger.describe_status)
    found = board.counters()
    assert (found["pixels"], found["pixels_dropped"], found["decisions"]) == (360, 360, 0)
    board.reset()


def test_an_overlay_without_its_hand_off_file(folder: Path, tmp_path: Path) -> None:
    bit = tmp_path / "alone.bit"
    bit.write_bytes(next(folder.glob("*.bit")).read_bytes())
    with pytest.raises(DeviceError, match=r"there is no alone\.hwh"):
        Overlay(str(bit), download=False)
