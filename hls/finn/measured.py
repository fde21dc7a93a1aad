"""Latency and intervals of a stitched design, of a run at full speed whose results have to be the golden model's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dwell.errors import VerificationError
from dwell.hls.finn import sizing
from dwell.hls.finn.sizing import Frame
from dwell.hls.qmodel import QModel, run_codes, value_range
from dwell.hls.rtl.design.write import all_modules
from dwell.hls.rtl.netlist import Netlist

#: Frames at full speed on which latency and interval are measured.
MEASURED_FRAMES = 24


def measured(net: Netlist, model: QModel, frame: Frame, folder: Path) -> Netlist:
    """`net` with its latency and intervals; `folder` is for the files of the run.

    Raises `VerificationError` where the results are not the model's, or an assertion of FINN's library fails.
    """
    files = []
    for name, text in all_modules(net).items():
        files.append(folder / name)
        files[-1].write_text(text)
    rng = np.random.default_rng(1)
    low, high = value_range(model, model.input)
    shape = model.tensors[model.input].shape
    codes = rng.integers(int(low.min()), int(high.max()) + 1, (MEASURED_FRAMES, *shape))
    sides = net.input, net.output
    played = sizing.simulator().play_codes(net.top, tuple(sorted(files)), codes, sides, frame.out_beats)
    wanted = run_codes(model, codes).reshape(-1, net.output.elements)
    trouble = "; ".join((*played.assertions, *([played.fault] if played.fault else [])))
    if trouble or played.codes.shape != wanted.shape or (played.codes != wanted).any():
        alike = played.codes.shape == wanted.shape
        wrong = np.argwhere(played.codes != wanted)[:1].tolist() if alike else []
        raise VerificationError(
            f"the stitched layers do not give the golden model's codes {trouble}".strip(),
            first_mismatch={"beat": wrong[0][0] if wrong else len(played.codes), "frames": MEASURED_FRAMES},
            hint="convert with --backend rtl",
        )
    into = played.in_clocks.reshape(-1, frame.in_beats).astype(np.int64)
    out = played.out_clocks.reshape(-1, frame.out_beats).astype(np.int64)
    cycles = max(sizing.interval(played.out_clocks, frame.out_beats), int(np.diff(into[:, 0]).max()))
    return replace(
        net,
        latency_cycles=int((out[:, -1] - into[:, -1]).max()),
        frame_cycles=cycles,
        ii_cycles=-(-cycles // frame.in_beats),
    )
