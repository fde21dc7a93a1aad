"""Runs the cocotb benches of the firmware's modules."""

from __future__ import annotations

import contextlib
import sys
from importlib import resources
from pathlib import Path

import pytest

pytestmark = pytest.mark.rtl

BENCHES = {
    "bench_tap": ("dwell_tap", {"WINDOW_LINES": 3, "WINDOW_PIXELS": 4, "MAX_LINE": 12}, 4),
    "bench_events": ("dwell_event_fifo", {"DEPTH_LOG2": 4, "BATCH": 5}, 3),
    "bench_registers": ("dwell_shell", {}, 5),
    "bench_frame_tap": ("dwell_frame_tap", {"FRAME_BEATS": 5, "DEPTH_LOG2": 3}, 5),
    "bench_frame_tap:1": ("dwell_frame_tap", {"FRAME_BEATS": 1, "DEPTH_LOG2": 2}, 5),
    "bench_scores": ("dwell_scores", {"LANES": 5, "ELEMENT_BITS": 6}, 2),
    "bench_scores:beats": (
        "dwell_scores",
        {"LANES": 3, "ELEMENT_BITS": 4, "SIGNED": 0, "DECISION_BEATS": 4},
        2,
    ),
    "bench_scores:one": ("dwell_scores", {"LANES": 1, "ELEMENT_BITS": 32, "DECISION_BEATS": 1}, 2),
    "bench_scores:serial": (
        "dwell_scores",
        {"LANES": 1, "ELEMENT_BITS": 31, "SIGNED": 0, "DECISION_BEATS": 7},
        2,
    ),
    "bench_frames:map": (
        "dwell_shell",
        {
            "FRAMES": 1,
            "SOURCE_BITS": 32,
            "INPUT_BITS": 24,
            "FRAME_BEATS": 6,
            "TAP_LOG2": 4,
            "OUTPUT_LINES": 2,
            "OUTPUT_PIXELS": 3,
            "LANES": 2,
            "DECISION_BEATS": 2,
            "ELEMENT_BITS": 7,
            "OUTPUT_BITS": 16,
            "DECISION_BITS": 32,
        },
        6,
    ),
    "bench_frames:vector": (
        "dwell_shell",
        {
            "FRAMES": 1,
            "SOURCE_BITS": 16,
            "INPUT_BITS": 16,
            "FRAME_BEATS": 4,
            "TAP_LOG2": 4,
            "LANES": 5,
            "ELEMENT_BITS": 3,
            "SIGNED": 0,
            "OUTPUT_BITS": 15,
            "DECISION_BITS": 16,
        },
        6,
    ),
}
"""The module's name up to a colon, top, parameters and how many tests there are."""


def run_bench(
    name: str, sources: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int]:
    """Returns how many tests ran and how many of them failed."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    top, parameters, _ = BENCHES[name]
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", ":".join([here, *sys.path]))
    monkeypatch.syspath_prepend(here)
    runner = get_runner("icarus")
    runner.build(
        sources=sources, hdl_toplevel=top, parameters=parameters, build_dir=folder,
        timescale=("1ns", "1ps"), always=True,
    )  # fmt: skip
    results = folder / "results.xml"
    with contextlib.suppress(SystemExit):  # how the runner says that a test failed
        runner.test(
            hdl_toplevel=top,
            test_module=name.partition(":")[0],
            build_dir=folder,
            test_dir=folder,
            results_xml=str(results),
        )
    return get_results(results)


def sources() -> list[Path]:
    return sorted(Path(str(resources.files("dwell.firmware.rtl"))).glob("*.v"))


@pytest.fixture(autouse=True)
def needs_icarus() -> None:
    from dwell.sim.toolchain import find_icarus

    if find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")


@pytest.mark.parametrize("name", BENCHES)
def test_bench(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, failed = run_bench(name, sources(), tmp_path, monkeypatch)
    assert failed == 0
    assert ran == BENCHES[name][2]


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("bench_tap", "dwell_tap.v", "else if (~room) open <= 1'b0;", ""),
        ("bench_events", "dwell_event_fifo.v", "flushing & quiet & ~push", "flushing & ~push"),
        ("bench_registers", "dwell_counter.v", "if (snapshot) copy <= count;", "copy <= count;"),
        ("bench_frame_tap", "dwell_frame_tap.v", "(level <= LEVEL)", "room"),
        ("bench_scores", "dwell_larger.v", "b > a", "b >= a"),
        ("bench_frames:map", "dwell_frame_path.v", "(net_m_axis_tuser | going)", "1'b1"),
        ("bench_frames:vector", "dwell_frame_path.v", "(largest | ~class_trigger)", "largest"),
        ("bench_scores:beats", "dwell_scores.v", "(beat_best > most)", "(beat_best >= most)"),
    ],
)
def test_a_fault_is_found(
    name: str, file: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / file
    text = next(p for p in sources() if p.name == file).read_text()
    assert old in text
    planted.write_text(text.replace(old, new))
    rest = [path for path in sources() if path.name != file]
    _, failed = run_bench(name, [*rest, planted], tmp_path / "bench", monkeypatch)
    assert failed > 0
