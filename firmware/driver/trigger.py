"""The registers of the firmware shell, through PYNQ."""

from __future__ import annotations

from collections.abc import Mapping

from pynq import DefaultIP

from . import registers as regs
from .errors import BuildMismatchError

ID = 0x4457454C
MAJOR_VERSION = 2


class DwellTrigger(DefaultIP):
    """The shell. Offsets and bits are those of `registers`."""

    bindto = ["dwell:firmware:dwell_shell:1.0"]  # noqa: RUF012 - PYNQ's own convention

    def read(self, offset: int = 0) -> int:
        """A register. PYNQ.remote gives words as signed numbers, a board as unsigned ones."""
        return int(super().read(offset)) & 0xFFFFFFFF

    def identity(self) -> tuple[int, tuple[int, int], str]:
        """ID, version (major, minor) and the 128 bits of the build digest in hexadecimal."""
        version = self.read(regs.VERSION)
        words = [self.read(regs.BUILD_DIGEST0 + 4 * index) for index in range(4)]
        return self.read(regs.ID), (version >> 16, version & 0xFFFF), "".join(f"{word:08x}" for word in words)

    def check_identity(self, build_digest: str) -> None:
        """Raise `BuildMismatchError` unless this is the shell, of a known version, of that very build."""
        found, version, digest = self.identity()
        if found != ID:
            raise BuildMismatchError(
                f"there is no dwell firmware at {self.mmio.base_addr:#x}: "
                f"ID reads {found:#010x}, not {ID:#010x}",
                "load the overlay's own bitstream",
            )
        if version[0] != MAJOR_VERSION:
            raise BuildMismatchError(
                f"the firmware's registers are version {version[0]}.{version[1]}, "
                f"this driver knows {MAJOR_VERSION}.x",
                "use the driver that came with the overlay",
            )
        if digest != build_digest[:32]:
            raise BuildMismatchError(
                f"the board runs build {digest[:16]}, the overlay is build {build_digest[:16]}",
                "package the design again, or load the bitstream that belongs to this folder",
            )

    def geometry(self) -> Mapping[str, int]:
        """What the firmware says of itself: widths in bits, sizes of frames and decisions, event memory.

        Window (lines, pixels) and longest line are 0 in kind "frames"; beats of a frame, positions (lines,
        pixels), elements and beats of a decision are 0 or 1 in kind "pixels".
        """
        window, streams, memory = (self.read(r) for r in (regs.WINDOW, regs.STREAM_FORMAT, regs.EVENT_MEMORY))
        positions, decision = self.read(regs.POSITIONS), self.read(regs.DECISION_FORMAT)
        return {
            "frames": self.read(regs.DESIGN) & regs.DESIGN_FRAMES,
            "window_lines": window & 0xFF,
            "window_pixels": window >> 8 & 0xFF,
            "max_line": window >> 16,
            "source_bits": streams & 0xFFF,
            "score_bits": streams >> 24,
            "decision_bits": streams >> 12 & 0xFFF,
            "frame_beats": self.read(regs.FRAME_BEATS),
            "lines": positions >> 16,
            "pixels": positions & 0xFFFF,
            "elements": decision & 0xFFFF,
            "result_beats": decision >> 16,
            "event_depth": memory & 0xFFFF,
            "event_batch": memory >> 16,
        }

    def command(self, bits: int) -> None:
        """Give strobes, such as `registers.COMMAND_CLEAR`."""
        self.write(regs.COMMAND, bits)

    def status(self) -> int:
        """The status word."""
        return int(self.read(regs.STATUS))

    def counters(self) -> dict[str, int]:
        """All counters, as they were in one clock."""
        self.command(regs.COMMAND_SNAPSHOT)
        return {
            name: self.read(offset) | self.read(offset + 4) << 32 for name, offset in regs.COUNTERS.items()
        }

    def describe_status(self) -> str:
        """The status in words."""
        status = self.status()
        words = {
            regs.STATUS_SOURCE_WAITING: "a beat waits to be taken",
            regs.STATUS_TAP_BUSY: "beats wait in the tap",
            regs.STATUS_NETWORK_BUSY: "the network owes decisions",
            regs.STATUS_DECISIONS_WAITING: "decisions wait for their DMA",
            regs.STATUS_EVENTS_WAITING: "event records wait for their DMA",
            regs.STATUS_FLUSHING: "a flush has not ended",
            regs.STATUS_FAULT_SURPLUS: "FAULT: the network made a decision too many",
            regs.STATUS_FAULT_FRAMES: "FAULT: frames were mixed up in the network",
        }
        return "; ".join(text for bit, text in words.items() if status & bit) or "at rest"
