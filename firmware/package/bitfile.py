"""A `.bit` that only a simulated board takes: a header that PYNQ reads, then digests.

A real device refuses it: there is no synchronisation word in it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from dwell.firmware.boards import System

MARK = b"DWELL SIMULATION ONLY, NOT A BITSTREAM\n"
_PREAMBLE = bytes.fromhex("0ff00ff00ff00ff000")


def simulation_bit(top: str, system: System, content: Mapping[str, object]) -> bytes:
    """The file's bytes; `content` must be JSON."""
    payload = MARK + json.dumps(content, sort_keys=True, indent=1).encode() + b"\n"
    payload += b"\n" * (-len(payload) % 4)
    texts = (
        (b"a", f"{top};DWELL_SIMULATION_ONLY"),
        (b"b", system.device + system.package),
        (b"c", "none"),
        (b"d", "none"),
    )
    header = struct.pack(">H", len(_PREAMBLE)) + _PREAMBLE + struct.pack(">H", 1)
    for key, text in texts:
        raw = text.encode() + b"\0"
        header += key + struct.pack(">H", len(raw)) + raw
    return header + b"e" + struct.pack(">I", len(payload)) + payload
