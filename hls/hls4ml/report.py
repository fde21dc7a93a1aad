"""Results of our own tools in the shape of hls4ml's reports.

hls4ml reads every figure out of a report of Vivado or Vitis HLS as text, under the names of those tools. The
same names here hold figures of Yosys and of the design's structure; `Tool` and the `…Evidence` keys, which
hls4ml does not have, say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dwell.hls.design import Design


def synthesis_report(design: Design, found: Mapping[str, Any]) -> dict[str, str]:
    """`CSynthesisReport` from what `dwell synthesize` found; times in ns, latency and interval in clocks.

    A sample's latency counts from its first beat to its last result, as hls4ml's does.
    """
    interval, latency = sample_cycles(design)
    bound = "predicted from the structure" if design.latency_exact else "upper bound from the structure"
    report: dict[str, object] = {
        "TargetClockPeriod": f"{1000.0 / design.clock_mhz:.3f}",
        "EstimatedClockPeriod": f"{1000.0 / float(found['fmax_mhz']):.3f}",
        "BestLatency": latency,
        "WorstLatency": latency,
        "IntervalMin": interval,
        "IntervalMax": interval,
        "LUT": found["lut"],
        "FF": found["ff"],
        "DSP": found["dsp"],
        # Two halves of a 36-kbit block; Yosys counts a single half as 0.5.
        "BRAM_18K": math.ceil(2 * float(found["bram36"])),
        "URAM": 0,
        "AvailableLUT": found["available"]["lut"],
        "AvailableFF": found["available"]["ff"],
        "AvailableDSP": found["available"]["dsp"],
        "AvailableBRAM_18K": 2 * int(found["available"]["bram36"]),
        "AvailableURAM": 0,
        "Tool": found["tool"],
        "ResourceEvidence": found["evidence"],
        "ClockEvidence": found.get("fmax_evidence", found["evidence"]),
        "LatencyEvidence": bound,
    }
    return {key: str(value) for key, value in report.items()}


def sample_cycles(design: Design) -> tuple[int, int]:
    """Clocks from one sample to the next, and from a sample's first beat to its last result."""
    beats = math.ceil(int(np.prod(design.input.shape)) / design.input.elements)
    interval = design.frame_cycles or beats * design.ii_cycles
    return interval, (beats - 1) * design.ii_cycles + design.latency_cycles


def cosim_report(found: Mapping[str, Any]) -> dict[str, Any]:
    """`CosimReport` from what `dwell simulate` found: the Verilog itself, measured; per beat, in clocks."""
    return {
        "RTL": "Verilog",
        "Status": "Pass" if found["mismatches"] == 0 else "Fail",
        "LatencyMin": found["latency_cycles"],
        "LatencyMax": found["latency_cycles"],
        "IntervalMin": found["ii_cycles"],
        "IntervalMax": found["ii_cycles"],
        "Vectors": found["vectors"],
        "Mismatches": found["mismatches"],
        "Tool": found["simulator"],
    }
