"""A small hand-written design, 3x3 on 8-bit pixels, as a design directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dwell.hls.design import FORMAT, LATENCY_OF_WINDOWS, file_digests
from dwell.hls.qmodel import FixedPoint, QModel
from dwell.hls.qmodel.build import Builder
from dwell.sim.dut import Dut, load_dut

SOURCE = Path(__file__).parents[2] / "rtl" / "designs" / "box3.v"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Simulators built by these tests go with them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(folder))
        yield folder


def box3_model() -> QModel:
    """What box3.v computes."""
    build = Builder()
    pixels = build.input("x", (8, 8, 1), FixedPoint(False, 8, 8))
    weight = np.array([[1, 2, -1], [4, -8, 1], [-1, 1, 2]]).reshape(3, 3, 1, 1)
    return build.finish("box3", build.conv2d("score", pixels, weight, 0, [-37], 8))


def write_box3(folder: Path, verilog: str | None = None) -> Path:
    """A design directory for box3.v, or for `verilog` in its place."""
    (folder / "rtl").mkdir(parents=True)
    (folder / "rtl" / "box3.v").write_text(verilog or SOURCE.read_text())
    model = box3_model()
    model.save(folder / "qmodel")
    kind = model.tensors[model.output].type

    def port(kind: FixedPoint, shape: tuple[int, ...], bits: int) -> dict[str, object]:
        body = {"signed": kind.signed, "width": kind.width, "frac": kind.frac}
        return {
            "type": body,
            "shape": list(shape),
            "tdata_bits": bits,
            "scale": 1.0,
            "offset": 0.0,
            "elements": 1,
            "line_beats": 0,
            "layout": "a pixel",
        }

    body = {
        "format": FORMAT, "name": "box3", "top": "box3", "backend": "rtl", "style": "stream",
        "board": "pynq-z2", "clock_mhz": 100.0, "latency_cycles": 3, "ii_cycles": 1, "latency_exact": True,
        "frame_cycles": 0, "weights": None,
        "latency_definition": LATENCY_OF_WINDOWS, "window": [3, 3], "max_width": 32,
        "input": port(FixedPoint(False, 8, 8), (8, 8, 1), 8), "output": port(kind, (6, 6, 1), 16),
        "layers": [], "provenance": {}, "files": file_digests(folder),
    }  # fmt: skip
    (folder / "design.json").write_text(json.dumps(body))
    return folder


@pytest.fixture(scope="session")
def box3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_box3(tmp_path_factory.mktemp("box3") / "design")


@pytest.fixture(scope="session")
def box3(box3_folder: Path) -> Dut:
    return load_dut(box3_folder)
