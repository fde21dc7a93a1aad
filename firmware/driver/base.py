"""What boards of both kinds have: settings, DMA with a limit to every wait, events, counters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pynq import Overlay, allocate

from . import registers as regs
from .channel import Channel
from .errors import BoardError, BoardTimeoutError, TransferError
from .records import EVENT, Batch, read_batch
from .self_test import run
from .trigger import DwellTrigger
from .weights import DwellWeights, Weights

_NEVER = 0x7FFFFFFF


class Settings(NamedTuple):
    """What `configure` was given beside threshold, dead time and pulse; None: not given."""

    lines: int | None
    pixels: int | None
    select: int
    class_trigger: bool


class Board:
    """A loaded overlay, for one process at a time. No wait for the hardware is longer than `timeout_s`.

    `PixelBoard` and `FrameBoard` are the two kinds.
    """

    kind = ""
    unit = ""

    def __init__(self, overlay: Overlay, described: dict[str, Any], folder: Path, timeout_s: float) -> None:
        self.overlay = overlay
        self.described = described
        self.folder = folder
        self.timeout_s = timeout_s
        self.trigger = DwellTrigger(dict(overlay.ip_dict["trigger"], device=overlay.device))
        self.trigger.check_identity(described["build_digest"])
        self.geometry = dict(self.trigger.geometry())
        bits = int(described["dma_length_bits"])
        self._send = Channel(overlay.frames_dma, receive=False, name="frames", length_bits=bits)
        self._decisions = Channel(overlay.frames_dma, receive=True, name="decisions", length_bits=bits)
        self._events = Channel(overlay.events_dma, receive=True, name="events", length_bits=bits)
        self._most_bytes = (1 << bits) - 1
        self._batch = allocate((self.geometry["event_batch"],), dtype=EVENT, target=overlay.device)
        self._buffers: dict[str, Any] = {}
        self._weights: Weights | None = None
        if described["weights"]:
            port = DwellWeights(dict(overlay.ip_dict[described["weights"]["region"]], device=overlay.device))
            self._weights = Weights(port, described["weights"])
        self._control = 0
        self._held: list[np.ndarray] = []

    # ---- settings

    def configure(
        self,
        threshold: int = _NEVER,
        dead_time: int = 0,
        *,
        lines: int | None = None,
        pixels: int | None = None,
        select: int = 0,
        class_trigger: bool = False,
        pulse_clocks: int = 0,
    ) -> None:
        """Set threshold (code), dead time (decisions) and pulse (clocks, 0: none). A frame starts next.

        Kind "pixels": `lines` and `pixels` are the frame's size, 256 each if not given. Kind "frames": the
        score is code `select` of a decision, and with `class_trigger` a decision fires only if that is its
        largest code, the first of equals. Raises `BoardError` for a value that the firmware cannot hold or
        that is for the other kind.
        """
        if not -(1 << 31) <= threshold < 1 << 31 or not 0 <= dead_time < 1 << 32:
            raise BoardError(f"threshold {threshold} or dead time {dead_time} is out of the registers' range")
        if not 0 <= pulse_clocks < 1 << 32:
            raise BoardError(f"a pulse of {pulse_clocks} clocks is out of the registers' range")
        more, flags = self._settings(Settings(lines, pixels, select, class_trigger))
        self._write_control(0)
        self.trigger.write(regs.THRESHOLD, int(threshold) & 0xFFFFFFFF)
        self.trigger.write(regs.DEAD_TIME, int(dead_time))
        self.trigger.write(regs.PULSE_LENGTH, int(pulse_clocks))
        for register, value in more.items():
            self.trigger.write(register, value)
        self._begin_frame()
        pulse = regs.CONTROL_PULSE if pulse_clocks else 0
        self._write_control(regs.CONTROL_ENABLE | pulse | flags)

    def reset(self) -> None:
        """Bring firmware and DMA engines to rest, whatever they were doing.

        Settings, weights and their bank, and counters stay.
        """
        bank = self._weights.selected if self._weights else 0
        self._write_control(0)
        self._send.reset()
        self._decisions.restart()
        self._events.reset()
        self.trigger.command(regs.COMMAND_SOFT_RESET)
        self._begin_frame()
        self._held = []
        self._arm_events()
        if bank and self._weights:
            self._weights.select(bank)  # the network was reset too; by now it is out of it

    def clear(self) -> None:
        """Zero the counters and start frame numbers from 0."""
        self.trigger.command(regs.COMMAND_CLEAR)

    # ---- weights, where the design has them in two banks

    def free_bank(self) -> int:
        """The bank that `write_weights` writes. Raises `BoardError` for a design with fixed weights."""
        return 1 - self._banks().selected

    def write_weights(self, writes: np.ndarray) -> None:
        """Write the free bank: pairs (byte address, word), as `dwell.hls.reload.plan_writes` gives them.

        Frames go on with the other bank meanwhile. Raises `BoardError` for addresses elsewhere.
        """
        self._banks().write(writes, self.timeout_s)

    def swap_weights(self) -> int:
        """The frames that begin from now on use the other bank, whose number is returned."""
        banks = self._banks()
        banks.select(1 - banks.selected)
        return banks.selected

    # ---- what comes out

    def events(self) -> np.ndarray:
        """Every event (EVENT, N) of what was sent so far and not returned yet, in order."""
        self.trigger.command(regs.COMMAND_FLUSH_EVENTS)
        while True:
            batch = self._take_batch()
            if batch.closed:
                break
        events = np.concatenate(self._held)
        self._held = []
        return events

    def counters(self) -> dict[str, int]:
        """All counters, as they were in one clock."""
        return self.trigger.counters()

    def self_test(self) -> dict[str, Any]:
        """Registers, golden frames, accounting: see `self_test.run`."""
        return run(self)

    def close(self) -> None:
        """Leave the firmware switched off."""
        self.reset()
        self._buffers.clear()

    # ---- inside

    def _banks(self) -> Weights:
        if self._weights is None:
            raise BoardError("the weights of this design are fixed", "convert it with --reload")
        return self._weights

    def _settings(self, given: Settings) -> tuple[dict[int, int], int]:
        """Registers and control bits for what the kinds differ in. Raises `BoardError`."""
        raise NotImplementedError

    def _begin_frame(self) -> None:
        """The next beat begins a frame."""

    def _exchange(self, source: Any, sent: int, sink: Any, packets: int) -> tuple[np.ndarray, np.ndarray]:
        """Send the first `sent` bytes of `source`; take so many packets of decisions, each filling `sink`.

        Returns what came (packets, *sink.shape) and the events. Raises `BoardTimeoutError`, `TransferError`.
        """
        came = np.empty((packets, *sink.shape), sink.dtype)
        try:
            self._write_control(self._control | regs.CONTROL_DECISIONS)
            self._decisions.start(sink)
            self._send.start(source, sent)
            for number in range(packets):
                moved = self._wait_with_events(self._decisions)
                if moved != sink.nbytes:
                    raise TransferError(
                        f"{moved} bytes of decisions came where {sink.nbytes} should",
                        "is the frame size right?",
                    )
                came[number] = sink
                if number + 1 < packets:
                    self._decisions.start(sink)
            self._wait_with_events(self._send)
            return came, self.events()
        except BoardError:
            self._recover()
            raise

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """One buffer for each purpose, made anew only when the shape changes: CMA memory is scarce."""
        found = self._buffers.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            self._buffers.pop(name, None)
            found = self._buffers[name] = allocate(shape, dtype=dtype, target=self.overlay.device)
        return found

    def _write_control(self, value: int) -> None:
        if value != self._control or value == 0:
            self.trigger.write(regs.CONTROL, value)
            self._control = value

    def _arm_events(self) -> None:
        self._events.start(self._batch)

    def _harvest(self) -> Batch:
        moved = self._events.finish()
        batch = read_batch(np.asarray(self._batch)[: moved // EVENT.itemsize])
        self._arm_events()
        self._held.append(batch.events)
        return batch

    def _take_batch(self) -> Batch:
        limit = time.monotonic() + self.timeout_s
        while not self._events.done():
            if time.monotonic() > limit:
                raise self._timed_out(self._events)
        return self._harvest()

    def _wait_with_events(self, channel: Channel) -> int:
        """Wait for a channel; events are taken out of the way meanwhile, so that they find room."""
        limit = time.monotonic() + self.timeout_s
        while not channel.done():
            if self._events.done():
                self._harvest()
            if time.monotonic() > limit:
                raise self._timed_out(channel)
        return channel.finish()

    def _timed_out(self, channel: Channel) -> BoardTimeoutError:
        counters = self.counters()
        taken, decided, made = (counters[name] for name in ("pixels", "pixels_decided", "decisions"))
        # Decisions that do not come may be the fault of frames that did not go.
        stuck = [c for c in (self._send, channel) if c is channel or (c.armed and not c.done())]
        return BoardTimeoutError(
            f"{', '.join(c.describe() for c in dict.fromkeys(stuck))} after {self.timeout_s:g} s; "
            f"firmware: {self.trigger.describe_status()}; "
            f"{self.unit} taken {taken}, to the network {decided}, decisions {made}",
            "the board has been reset; if it happens again, load the overlay again",
        )

    def _recover(self) -> None:
        control = self._control
        self.reset()
        self._write_control(control)
