"""What the generators need of a register map, and nothing of the SystemRDL compiler."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """Where a field lives."""

    STORED = "stored"  # software writes, hardware reads
    STROBE = "strobe"  # software writes 1, hardware sees one clock of it
    LOGIC = "logic"  # hardware drives, software reads


@dataclass(frozen=True)
class Field:
    """Bits `high`..`low` of a register."""

    name: str
    low: int
    high: int
    kind: Kind
    reset: int
    signed: bool
    text: str

    @property
    def width(self) -> int:
        """Its number of bits."""
        return self.high - self.low + 1


@dataclass(frozen=True)
class Register:
    """A 32-bit register at `offset` bytes."""

    name: str
    offset: int
    fields: tuple[Field, ...]
    text: str

    @property
    def readable(self) -> bool:
        """Whether reading it can give anything but 0."""
        return any(field.kind is not Kind.STROBE for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether writing it can have an effect."""
        return any(field.kind is not Kind.LOGIC for field in self.fields)


@dataclass(frozen=True)
class Counter:
    """A 64-bit counter: its low half at `offset`, its high half 4 bytes on."""

    name: str
    offset: int
    text: str


@dataclass(frozen=True)
class RegisterMap:
    """All of it, by rising offset. `address_bits` covers the last byte."""

    name: str
    title: str
    registers: tuple[Register, ...]
    counters: tuple[Counter, ...]
    source_digest: str

    @property
    def address_bits(self) -> int:
        """Bits of a byte address, a whole 4 KiB page."""
        return 12
