"""Registers of the dwell firmware shell.

Generated from dwell_shell.rdl (sha256 6d0ba47cfb12a4b7): change that, not this.
"""

from __future__ import annotations

ID = 0x000
VERSION = 0x004
VERSION_MINOR_SHIFT, VERSION_MINOR_MASK = 0, 0xFFFF
VERSION_MAJOR_SHIFT, VERSION_MAJOR_MASK = 16, 0xFFFF
DESIGN = 0x008
DESIGN_FRAMES = 0x1
DESIGN_WEIGHTS = 0x2
DESIGN_SIGNED_ELEMENTS = 0x4
BUILD_DIGEST0 = 0x010
BUILD_DIGEST1 = 0x014
BUILD_DIGEST2 = 0x018
BUILD_DIGEST3 = 0x01C
WINDOW = 0x020
WINDOW_WINDOW_LINES_SHIFT, WINDOW_WINDOW_LINES_MASK = 0, 0xFF
WINDOW_WINDOW_PIXELS_SHIFT, WINDOW_WINDOW_PIXELS_MASK = 8, 0xFF
WINDOW_MAX_LINE_SHIFT, WINDOW_MAX_LINE_MASK = 16, 0xFFFF
STREAM_FORMAT = 0x024
STREAM_FORMAT_SOURCE_BITS_SHIFT, STREAM_FORMAT_SOURCE_BITS_MASK = 0, 0xFFF
STREAM_FORMAT_DECISION_BITS_SHIFT, STREAM_FORMAT_DECISION_BITS_MASK = 12, 0xFFF
STREAM_FORMAT_SCORE_BITS_SHIFT, STREAM_FORMAT_SCORE_BITS_MASK = 24, 0xFF
EVENT_MEMORY = 0x028
EVENT_MEMORY_DEPTH_SHIFT, EVENT_MEMORY_DEPTH_MASK = 0, 0xFFFF
EVENT_MEMORY_BATCH_SHIFT, EVENT_MEMORY_BATCH_MASK = 16, 0xFFFF
FRAME_BEATS = 0x02C
POSITIONS = 0x030
POSITIONS_PIXELS_SHIFT, POSITIONS_PIXELS_MASK = 0, 0xFFFF
POSITIONS_LINES_SHIFT, POSITIONS_LINES_MASK = 16, 0xFFFF
DECISION_FORMAT = 0x034
DECISION_FORMAT_ELEMENTS_SHIFT, DECISION_FORMAT_ELEMENTS_MASK = 0, 0xFFFF
DECISION_FORMAT_BEATS_SHIFT, DECISION_FORMAT_BEATS_MASK = 16, 0xFFFF
TAP_DEPTH = 0x038
CONTROL = 0x040
CONTROL_ENABLE = 0x1
CONTROL_NEVER_STALL = 0x2
CONTROL_EXTERNAL_FRAMING = 0x4
CONTROL_DECISIONS = 0x8
CONTROL_LINE_PACKETS = 0x10
CONTROL_PULSE = 0x20
CONTROL_CLASS_TRIGGER = 0x40
COMMAND = 0x044
COMMAND_SOFT_RESET = 0x1
COMMAND_CLEAR = 0x2
COMMAND_RESTART = 0x4
COMMAND_FLUSH_EVENTS = 0x8
COMMAND_SNAPSHOT = 0x10
THRESHOLD = 0x048
DEAD_TIME = 0x04C
PULSE_LENGTH = 0x050
FRAME_SIZE = 0x054
FRAME_SIZE_LINE_PIXELS_SHIFT, FRAME_SIZE_LINE_PIXELS_MASK = 0, 0xFFFF
FRAME_SIZE_FRAME_LINES_SHIFT, FRAME_SIZE_FRAME_LINES_MASK = 16, 0xFFFF
STATUS = 0x058
STATUS_TAP_BUSY = 0x1
STATUS_NETWORK_BUSY = 0x2
STATUS_DECISIONS_WAITING = 0x4
STATUS_EVENTS_WAITING = 0x8
STATUS_FLUSHING = 0x10
STATUS_SOURCE_WAITING = 0x20
STATUS_FAULT_SURPLUS = 0x100
STATUS_FAULT_FRAMES = 0x200
EVENTS_LEVEL = 0x05C
SELECT = 0x060
SELECT_ELEMENT_SHIFT, SELECT_ELEMENT_MASK = 0, 0xFFFF

#: Counters of 64 bits: name, offset of the low half; the high half is 4 bytes on.
COUNTERS = {
    "clocks": 0x080,
    "frames": 0x088,
    "pixels": 0x090,
    "pixels_decided": 0x098,
    "pixels_dropped": 0x0A0,
    "decisions": 0x0A8,
    "decisions_dropped": 0x0B0,
    "triggers": 0x0B8,
    "events": 0x0C0,
    "events_dropped": 0x0C8,
    "frames_dropped": 0x0D0,
    "frames_cut": 0x0D8,
}

#: Every register: name, (offset, access, fields as (name, lowest bit, bits)).
REGISTERS = {
    "id": (
        0x000,
        "read-only",
        (("value", 0, 32),),
    ),
    "version": (
        0x004,
        "read-only",
        (
            ("minor", 0, 16),
            ("major", 16, 16),
        ),
    ),
    "design": (
        0x008,
        "read-only",
        (
            ("frames", 0, 1),
            ("weights", 1, 1),
            ("signed_elements", 2, 1),
        ),
    ),
    "build_digest0": (
        0x010,
        "read-only",
        (("value", 0, 32),),
    ),
    "build_digest1": (
        0x014,
        "read-only",
        (("value", 0, 32),),
    ),
    "build_digest2": (
        0x018,
        "read-only",
        (("value", 0, 32),),
    ),
    "build_digest3": (
        0x01C,
        "read-only",
        (("value", 0, 32),),
    ),
    "window": (
        0x020,
        "read-only",
        (
            ("window_lines", 0, 8),
            ("window_pixels", 8, 8),
            ("max_line", 16, 16),
        ),
    ),
    "stream_format": (
        0x024,
        "read-only",
        (
            ("source_bits", 0, 12),
            ("decision_bits", 12, 12),
            ("score_bits", 24, 8),
        ),
    ),
    "event_memory": (
        0x028,
        "read-only",
        (
            ("depth", 0, 16),
            ("batch", 16, 16),
        ),
    ),
    "frame_beats": (
        0x02C,
        "read-only",
        (("value", 0, 32),),
    ),
    "positions": (
        0x030,
        "read-only",
        (
            ("pixels", 0, 16),
            ("lines", 16, 16),
        ),
    ),
    "decision_format": (
        0x034,
        "read-only",
        (
            ("elements", 0, 16),
            ("beats", 16, 16),
        ),
    ),
    "tap_depth": (
        0x038,
        "read-only",
        (("value", 0, 32),),
    ),
    "control": (
        0x040,
        "read-write",
        (
            ("enable", 0, 1),
            ("never_stall", 1, 1),
            ("external_framing", 2, 1),
            ("decisions", 3, 1),
            ("line_packets", 4, 1),
            ("pulse", 5, 1),
            ("class_trigger", 6, 1),
        ),
    ),
    "command": (
        0x044,
        "write-only",
        (
            ("soft_reset", 0, 1),
            ("clear", 1, 1),
            ("restart", 2, 1),
            ("flush_events", 3, 1),
            ("snapshot", 4, 1),
        ),
    ),
    "threshold": (
        0x048,
        "read-write",
        (("value", 0, 32),),
    ),
    "dead_time": (
        0x04C,
        "read-write",
        (("value", 0, 32),),
    ),
    "pulse_length": (
        0x050,
        "read-write",
        (("value", 0, 32),),
    ),
    "frame_size": (
        0x054,
        "read-write",
        (
            ("line_pixels", 0, 16),
            ("frame_lines", 16, 16),
        ),
    ),
    "status": (
        0x058,
        "read-only",
        (
            ("tap_busy", 0, 1),
            ("network_busy", 1, 1),
            ("decisions_waiting", 2, 1),
            ("events_waiting", 3, 1),
            ("flushing", 4, 1),
            ("source_waiting", 5, 1),
            ("fault_surplus", 8, 1),
            ("fault_frames", 9, 1),
        ),
    ),
    "events_level": (
        0x05C,
        "read-only",
        (("value", 0, 16),),
    ),
    "select": (
        0x060,
        "read-write",
        (("element", 0, 16),),
    ),
    "clocks_lo": (0x080, "read-only", (("value", 0, 32),)),
    "clocks_hi": (0x084, "read-only", (("value", 0, 32),)),
    "frames_lo": (0x088, "read-only", (("value", 0, 32),)),
    "frames_hi": (0x08C, "read-only", (("value", 0, 32),)),
    "pixels_lo": (0x090, "read-only", (("value", 0, 32),)),
    "pixels_hi": (0x094, "read-only", (("value", 0, 32),)),
    "pixels_decided_lo": (0x098, "read-only", (("value", 0, 32),)),
    "pixels_decided_hi": (0x09C, "read-only", (("value", 0, 32),)),
    "pixels_dropped_lo": (0x0A0, "read-only", (("value", 0, 32),)),
    "pixels_dropped_hi": (0x0A4, "read-only", (("value", 0, 32),)),
    "decisions_lo": (0x0A8, "read-only", (("value", 0, 32),)),
    "decisions_hi": (0x0AC, "read-only", (("value", 0, 32),)),
    "decisions_dropped_lo": (0x0B0, "read-only", (("value", 0, 32),)),
    "decisions_dropped_hi": (0x0B4, "read-only", (("value", 0, 32),)),
    "triggers_lo": (0x0B8, "read-only", (("value", 0, 32),)),
    "triggers_hi": (0x0BC, "read-only", (("value", 0, 32),)),
    "events_lo": (0x0C0, "read-only", (("value", 0, 32),)),
    "events_hi": (0x0C4, "read-only", (("value", 0, 32),)),
    "events_dropped_lo": (0x0C8, "read-only", (("value", 0, 32),)),
    "events_dropped_hi": (0x0CC, "read-only", (("value", 0, 32),)),
    "frames_dropped_lo": (0x0D0, "read-only", (("value", 0, 32),)),
    "frames_dropped_hi": (0x0D4, "read-only", (("value", 0, 32),)),
    "frames_cut_lo": (0x0D8, "read-only", (("value", 0, 32),)),
    "frames_cut_hi": (0x0DC, "read-only", (("value", 0, 32),)),
}
