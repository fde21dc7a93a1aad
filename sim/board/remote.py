"""A simulated board for PYNQ.remote: `python -m dwell.sim.board.remote OVERLAY`.

The gRPC services that PYNQ ships, over the simulated device, so that PYNQ on this machine believes in a
board at `PYNQ_REMOTE_DEVICES=127.0.0.1`. The channel is neither encrypted nor authenticated and the real
service gives away the board's files, so this one listens on the loopback interface only, and the files it
shows are its own inventions in memory.
"""

from __future__ import annotations

import argparse
import ipaddress
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from pynq.pl_server.embedded_device import bit2bin
from pynq.remote import (
    buffer_pb2,
    buffer_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

from dwell.errors import ConfigError, DeviceError, DwellError
from dwell.sim.board.device import SimulatedDevice

PORT = 7967
"""The only one that PYNQ's client knows."""

_FIRMWARE = "/lib/firmware/"
_MANAGER = "/sys/class/fpga_manager/fpga0/"
_CHUNK_BYTES = 2 << 20


class Files(remote_device_pb2_grpc.RemoteDeviceServicer):
    """Files in memory, and what writing to the FPGA manager does."""

    def __init__(self, device: SimulatedDevice, overlay: Path) -> None:
        self._device = device
        self._bit = next(overlay.glob("*.bit"))
        self._files = {
            "/proc/version": b"Linux version 6.6.0-simulated (armv7l)",
            "/proc/device-tree/chosen/pynq_board": device.name.encode() + b"\0",
            f"{_MANAGER}state": b"operating",
            f"{_MANAGER}flags": b"0",
        }

    def existsfile(self, request: Any, context: Any) -> Any:
        """Whether there is such a file."""
        return remote_device_pb2.ExistsFileResponse(exists=request.file_path in self._files)

    def readfile(self, request: Any, context: Any) -> Iterator[Any]:
        """A file's contents."""
        if request.file_path not in self._files:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no file {request.file_path}")
        yield remote_device_pb2.ReadFileResponse(data=self._files[request.file_path])

    def writefile(self, requests: Iterable[Any], context: Any) -> Any:
        """Keep files; the FPGA manager's `firmware` makes the device load what it names."""
        written: dict[str, bytes] = {}
        for request in requests:
            written[request.file_path] = written.get(request.file_path, b"") + request.data
        self._files.update(written)
        if f"{_MANAGER}firmware" in written:
            try:
                self._load(written[f"{_MANAGER}firmware"].decode().strip())
            except DwellError as error:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.message)
        return remote_device_pb2.WriteFileResponse()

    def set_bitstream_attrs(self, request: Any, context: Any) -> Any:
        """Nothing to set."""
        return remote_device_pb2.SetBitstreamAttrsResponse(status=True)

    def _load(self, name: str) -> None:
        sent = self._files.pop(_FIRMWARE + name, b"")
        if sent != bit2bin(self._bit.read_bytes()):
            raise DeviceError(
                f"{name} is not the bitstream of the overlay that this board simulates",
                hint=f"start the board with the overlay that you load ({self._bit.parent})",
            )
        self._device.load(self._bit, self._device.get_bitfile_metadata(str(self._bit)))


class Registers(mmio_pb2_grpc.MmioServicer):
    """Reads and writes of physical addresses."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device
        self._bases: dict[str, int] = {}

    def get_mmio(self, request: Any, context: Any) -> Any:
        """A handle for a region."""
        handle = f"{request.base_addr:#x}"
        self._bases[handle] = request.base_addr
        return mmio_pb2.GetMmioResponse(status=True, mmio_id=handle)

    def read(self, request: Any, context: Any) -> Any:
        """A word. The protocol's answer is a signed number of 32 bits, whatever was asked."""
        try:
            raw = self._device.read_registers(self._bases[request.mmio_id] + request.offset, 4)
        except DwellError as error:
            return mmio_pb2.ReadResponse(msg=error.message)
        return mmio_pb2.ReadResponse(status=True, data=int.from_bytes(raw, "little", signed=True))

    def write(self, request: Any, context: Any) -> Any:
        """Words."""
        try:
            self._device.write_registers(self._bases[request.mmio_id] + request.offset, request.data)
        except DwellError as error:
            return mmio_pb2.WriteResponse(msg=error.message)
        return mmio_pb2.WriteResponse(status=True)


class Buffers(buffer_pb2_grpc.RemoteBufferServicer):
    """Contiguous memory on the board."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device
        self._buffers: dict[str, Any] = {}

    def allocate(self, request: Any, context: Any) -> Any:
        """A new buffer."""
        try:
            buffer = self._device.allocate((request.size,), np.uint8)
        except MemoryError as error:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        handle = uuid.uuid4().hex
        self._buffers[handle] = buffer
        return buffer_pb2.AllocateResponse(buffer_id=handle)

    def write(self, requests: Iterable[Any], context: Any) -> Any:
        """Bytes into the processor's view of a buffer."""
        at = 0
        for request in requests:
            part = np.frombuffer(request.data, np.uint8)
            self._buffers[request.buffer_id][at : at + len(part)] = part
            at += len(part)
        return buffer_pb2.BufferWriteResponse()

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        """The processor's view of a buffer."""
        raw = self._buffers[request.buffer_id].tobytes()
        for at in range(0, len(raw), _CHUNK_BYTES):
            yield buffer_pb2.BufferReadResponse(data=raw[at : at + _CHUNK_BYTES])

    def flush(self, request: Any, context: Any) -> Any:
        """The processor's view to memory."""
        self._buffers[request.buffer_id].flush()
        return buffer_pb2.FlushResponse()

    def invalidate(self, request: Any, context: Any) -> Any:
        """Memory to the processor's view."""
        self._buffers[request.buffer_id].invalidate()
        return buffer_pb2.InvalidateResponse()

    def physical_address(self, request: Any, context: Any) -> Any:
        """Where the DMA engines find it."""
        return buffer_pb2.AddressResponse(address=self._buffers[request.buffer_id].physical_address)

    def virtual_address(self, request: Any, context: Any) -> Any:
        """Where this process has it."""
        return buffer_pb2.AddressResponse(address=self._buffers[request.buffer_id].virtual_address)

    def freebuffer(self, request: Any, context: Any) -> Any:
        """Give it back."""
        self._buffers.pop(request.buffer_id, None)
        return buffer_pb2.FreeBufferResponse()

    def cacheable(self, request: Any, context: Any) -> Any:
        """Always: that is what flush and invalidate are for."""
        return buffer_pb2.CacheableResponse(cacheable=True)


def start(overlay: Path, address: str = "127.0.0.1", port: int = PORT) -> Callable[[], None]:
    """Serve an overlay until the returned function is called.

    Raises `ConfigError` for a folder that is no overlay or an address that others can reach, `DeviceError`
    for a port in use.
    """
    if not ipaddress.ip_address(address).is_loopback:
        raise ConfigError(
            f"{address} can be reached from outside",
            hint="use 127.0.0.1, and a tunnel if need be",
            place="--address",
        )
    if not any(overlay.glob("*.bit")):
        raise ConfigError(f"{overlay} is not an overlay", place=str(overlay))
    device = SimulatedDevice()
    # One thread: the model is one piece of hardware.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=(("grpc.so_reuseport", 0),))
    remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(Files(device, overlay), server)
    mmio_pb2_grpc.add_MmioServicer_to_server(Registers(device), server)
    buffer_pb2_grpc.add_RemoteBufferServicer_to_server(Buffers(device), server)
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise DeviceError(
            f"{address}:{port} is in use", hint="another board is served there", place="--address"
        )
    server.start()
    return lambda: server.stop(grace=1.0).wait()


def _until_end_of_input(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal comes or standard input, where it is a pipe, ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overlay", type=Path)
    parser.add_argument("--address", default="127.0.0.1", help="a loopback address; PYNQ wants port 7967")
    parser.add_argument("--while-input", action="store_true", help="end when standard input does")
    options = parser.parse_args(argv)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    try:
        stop = start(options.overlay.resolve(), options.address)
    except DwellError as error:
        sys.stderr.write(f"error ({error.code}): {error.message}\nhint: {error.hint}\n")
        return error.exit_code
    sys.stdout.write(f"serving {options.overlay.name} at {options.address}:{PORT}\n")
    sys.stdout.flush()
    if options.while_input:
        threading.Thread(target=_until_end_of_input, args=(over,), daemon=True).start()
    over.wait()
    stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
