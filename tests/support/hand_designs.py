"""Small hand-written designs with their golden models: faults can be planted where one can see them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dwell.hls.design import FORMAT, LATENCY_OF_FRAMES, LATENCY_OF_WINDOWS, file_digests
from dwell.hls.qmodel import FixedPoint, QModel, save_model
from dwell.hls.qmodel.build import Builder
from dwell.sim.dut import Dut, Port

DESIGNS = Path(__file__).parents[1] / "rtl" / "designs"
BOX3, SUMS4 = DESIGNS / "box3.v", DESIGNS / "sums4.v"


def box3_model() -> QModel:
    """What box3.v computes: a 3x3 correlation of a frame of any size."""
    build = Builder()
    pixels = build.input("x", (8, 8, 1), FixedPoint(False, 8, 8))
    weight = np.array([[1, 2, -1], [4, -8, 1], [-1, 1, 2]]).reshape(3, 3, 1, 1)
    return build.finish("box3", build.conv2d("score", pixels, weight, 0, [-37], 8))


def box3_dut(source: Path = BOX3) -> Dut:
    """box3.v, or a changed copy of it."""
    model = box3_model()
    score = model.tensors["score"]
    ports = (
        Port(FixedPoint(False, 8, 8), (8, 8, 1), 1, 1, 0, False),
        Port(score.type, score.shape, 1, 2, 0, True),
    )
    return Dut("box3", "box3", (source,), "stream", *ports, (3, 3), 32, 3, 1, model)


def sums4_model() -> QModel:
    """What sums4.v computes: three weighted sums of a frame (2, 2, 3)."""
    build = Builder()
    at = build.input("x", (2, 2, 3), FixedPoint(False, 5, 2))
    weight = np.zeros((4, 3, 3), dtype=np.int64)
    weight[:, :, 0] = 1
    weight[:, 0, 1], weight[:, 2, 1] = 1, -1
    weight[0::2, 1, 2], weight[1::2, 1, 2] = 1, -1
    at = build.dense("sums", build.flatten("flat", at), weight.reshape(12, 3), 0, [7, 0, -3], 2)
    assert build.tensor(at).type == FixedPoint(True, 10, 2)
    return build.finish("sums4", at)


def sums4_dut(source: Path = SUMS4) -> Dut:
    """sums4.v, or a changed copy of it."""
    model = sums4_model()
    ports = (
        Port(FixedPoint(False, 5, 2), (2, 2, 3), 3, 2, 2, False),
        Port(FixedPoint(True, 10, 2), (3,), 1, 2, 3, True),
    )
    return Dut("sums4", "sums4", (source,), "stream", *ports, (2, 2), 0, 3, 1, model, True, 4)


def write_hand_design(folder: Path, dut: Dut) -> Path:
    """A design directory for it."""
    (folder / "rtl").mkdir(parents=True)
    for source in dut.sources:
        (folder / "rtl" / source.name).write_text(source.read_text())
    save_model(dut.model, folder / "qmodel")
    body = {
        "format": FORMAT, "name": dut.name, "top": dut.top, "backend": "rtl", "style": dut.style,
        "board": "pynq-z2", "clock_mhz": 100.0, "latency_cycles": dut.latency_cycles,
        "ii_cycles": dut.ii_cycles, "latency_exact": dut.latency_exact, "frame_cycles": dut.frame_cycles,
        "weights": None, "window": list(dut.window), "max_width": dut.max_width,
        "latency_definition": LATENCY_OF_WINDOWS if dut.any_size else LATENCY_OF_FRAMES,
        "input": _port(dut.input), "output": _port(dut.output),
        "layers": [], "provenance": {}, "files": file_digests(folder),
    }  # fmt: skip
    (folder / "design.json").write_text(json.dumps(body))
    return folder


def _port(port: Port) -> dict[str, object]:
    kind = port.type
    return {
        "type": {"signed": kind.signed, "width": kind.width, "frac": kind.frac},
        "shape": list(port.shape),
        "tdata_bits": 8 * port.size,
        "scale": 1.0,
        "offset": 0.0,
        "elements": port.elements,
        "line_beats": port.line_beats,
        "layout": "codes",
    }
