"""Every module of the library, and whole designs, through three readers of Verilog without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rtl_lint import lint

from dwell.hls.qmodel import QModel
from dwell.hls.qmodel.random_models import DETECTOR, RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, library_files, write_design

pytestmark = pytest.mark.rtl

VARIANTS: dict[str, list[dict[str, int]]] = {
    "dwell_extend": [{}, {"IN_BITS": 1, "IN_SIGNED": 1, "UP": 3, "OUT_BITS": 2}, {"UP": 2, "OUT_BITS": 10}],
    "dwell_shift_add": [
        {},
        {"A_SIGNED": 1, "A_UP": 3, "SUBTRACT": 1, "Y_BITS": 13},
        {"A_UP": 3, "Y_BITS": 12},
        {"B_UP": 12, "Y_BITS": 9, "DROP": 2},
    ],
    "dwell_shift_add3": [
        {},
        {"A_SIGNED": 1, "B_UP": 3, "C_UP": 5, "MINUS_C": 1, "Y_BITS": 14},
        {"A_UP": 2, "C_UP": 4, "MINUS_B": 1, "MINUS_C": 1, "DROP": 1, "Y_BITS": 11},
        {"B_UP": 9, "C_UP": 9, "Y_BITS": 8},
    ],
    "dwell_add3": [{}, {"MINUS_B": 1}, {"MINUS_C": 1, "BITS": 1}, {"MINUS_B": 1, "MINUS_C": 1, "BITS": 5}],
    "dwell_less": [{}, {"A_SIGNED": 1, "B_UP": 3}, {"A_BITS": 1, "B_BITS": 1, "B_SIGNED": 1}],
    "dwell_select": [{}, {"A_SIGNED": 1, "A_UP": 3, "Y_BITS": 12}, {"B_UP": 1, "Y_BITS": 4}],
    "dwell_lookup": [{}, {"A_BITS": 6, "Y_BITS": 1, "VALUES": 0x123456789ABCDEF}],
    "dwell_product": [
        {},
        {"A_SIGNED": 1, "Y_BITS": 20},
        {"A_SIGNED": 1, "B_SIGNED": 1, "Y_BITS": 9},
        {"A_BITS": 1, "Y_BITS": 4},
    ],
    "dwell_multiply": [{}, {"ROWS": 1}, {"ROWS": 1, "A_BITS": 2, "A_SIGNED": 1}, {"B_SIGNED": 0}],
    "dwell_adder_tree": [],  # instantiates itself, which Verilator takes below a top only: see dwell_dot
    "dwell_dot": [{}, {"SIMD": 1}, {"SIMD": 7, "LEVELS": 1, "UP": 3}, {"SIMD": 16, "ACC_BITS": 8, "ROWS": 1}],
    "dwell_vector_buffer": [
        {},
        {"IN_LANES": 24, "WORD": 24, "SLOTS": 1},
        {"IN_LANES": 4, "WORD": 4, "SLOTS": 4},
        {"IN_LANES": 4, "WORD": 4, "SLOTS": 1},
        {"IN_LANES": 24, "WORD": 24, "OUT_LANES": 24, "SLOTS": 1},
    ],
    "dwell_mvu": [
        {},
        {"SF": 1, "SIMD": 24, "WORD": 24, "NF": 1, "SLOTS": 1, "IN_LANES": 24},
        {"SLOTS": 4, "IN_LANES": 4, "WORD": 4},
    ],
    "dwell_recurrent": [{}, {"SEQUENCE": 1}, {"STATE_BITS": 1, "DATA_BITS": 1, "INITIAL": 1}],
    "dwell_gather": [{}, {"PARTS": 1}, {"BITS": 1, "PARTS": 2}],
    "dwell_burst_fifo": [{}, {"BITS": 1, "BURST": 1, "DEPTH_LOG2": 2}, {"BURST": 7, "DEPTH_LOG2": 5}],
    "dwell_check": [{}, {"COUNT": 5}],
    "dwell_weight_stream": [{}, {"DEPTH": 1, "ADDRESS_BITS": 1}, {"BITS": 1, "ROUNDS": 5, "READS": 1}],
    "dwell_pace": [{}, {"INTERVAL": 2}, {"INTERVAL": 54}],
    "dwell_bank_frames": [{}],
    "dwell_bank_timer": [{}, {"CLOCKS": 1}],
    "dwell_weight_port": [{}, {"BITS": 4, "MEMORIES": 3, "WORDS": 99}],
    "dwell_search": [{}, {"KNOWN": 0}, {"SIGNED": 0, "BITS": 1, "KNOWN": 1}],
    "dwell_negate": [{}, {"A_BITS": 4, "A_SIGNED": 1, "Y_BITS": 4}],
    "dwell_cast": [
        {},
        {"ROUND": 2, "OVERFLOW": 2, "Y_SIGNED": 1},
        {"ROUND": 7, "RELU": 1},
        {"ROUND": 5, "DROP": 1, "OVERFLOW": 3},
        {"ROUND": 1, "DROP": 14, "Y_BITS": 1, "Y_SIGNED": 1, "OVERFLOW": 2},
        {"DROP": 0, "UP": 3, "OVERFLOW": 0, "Y_BITS": 20, "A_SIGNED": 0},
    ],
    "dwell_delay": [{}, {"DEPTH": 0}, {"BITS": 5, "DEPTH": 4, "RESET": 1}, {"BITS": 3, "DEPTH": 2}],
    "dwell_line_buffer": [{}, {"ROWS": 1, "FORWARD": 1}, {"MAX_WIDTH": 100, "COLUMN_BITS": 7}],
    "dwell_window": [{}, {"KERNEL_W": 1}, {"KERNEL_H": 1}, {"DILATION_H": 2, "DILATION_W": 3}],
    "dwell_region": [{}, {"COLUMNS": 0}, {"ROWS": 0, "ROW_BITS": 1, "LATENCY": 0}],
    "dwell_conv_window": [
        {},
        {"KERNEL_H": 1, "KERNEL_W": 1},
        {"KERNEL_W": 1},
        {"DILATION_H": 2, "MAX_WIDTH": 33},
    ],
    "dwell_frame_in": [{}, {"MAX_WIDTH": 2}, {"MAX_WIDTH": 300, "PIXEL_BITS": 1}],
    "dwell_frame_guard": [{}, {"BEATS": 1}, {"BITS": 40, "BEATS": 9}],
    "dwell_scan": [
        {},
        {"STRIDE_ROWS": 2, "STRIDE_BEATS": 2, "RESULT_ROWS": 7, "RESULT_BEATS": 7},
        {"ROWS": 6, "BEATS": 6, "LAG_ROWS": 0, "LAG_BEATS": 0},
    ],
    "dwell_scan_window": [
        {},
        {"LANES": 4, "STRIDE_H": 2, "STRIDE_W": 2, "OUT_ROWS": 4, "OUT_COLUMNS": 4},
        {"KERNEL_H": 1, "TOP": 0, "OUT_COLUMNS": 10},
        {"TOP": 2, "LEFT": 2, "LANES": 2},
        {"LANES": 8, "DILATION_H": 2, "DILATION_W": 3, "OUT_ROWS": 6, "OUT_COLUMNS": 3},
    ],
    "dwell_fifo": [{}, {"DEPTH": 1, "BITS": 1}, {"DEPTH": 5}],
    "dwell_fork": [{}, {"WAYS": 3}],
    "dwell_join": [{}, {"WAYS": 3}],
    "dwell_upsample": [{}, {"FACTOR_H": 1, "FACTOR_W": 3}, {"LANES": 2, "ROWS": 1, "BEATS": 1}],
    "dwell_accumulate": [{}, {"A_SIGNED": 1, "MAX": 1, "Y_BITS": 8}],
    "dwell_narrow": [{}, {"RATIO": 3, "LINE_BEATS": 1, "LAST_PARTS": 1}],
    "dwell_widen": [{}, {"RATIO": 3, "LINE_PARTS": 1}, {"RATIO": 4, "LINE_PARTS": 9}],
    "dwell_regroup": [
        {},
        {"LANES": 2, "OUT": 3, "LAST": 1, "BEATS": 2},
        {"LANES": 8, "OUT": 2, "LAST": 2, "BEATS": 1},
    ],
    "dwell_line_marks": [{}, {"LINE_BEATS": 1, "LINES": 1}],
    "dwell_credit_fifo": [{}, {"BITS": 1, "LATENCY": 1, "DEPTH_LOG2": 2}, {"LATENCY": 40, "DEPTH_LOG2": 6}],
}


@pytest.mark.parametrize("module", sorted(VARIANTS))
def test_library_lints(module: str) -> None:
    for settings in VARIANTS[module]:
        lint(library_files(), module, settings)


def test_every_module_is_linted() -> None:
    assert {file.stem for file in library_files()} == set(VARIANTS)


def unrolled_model() -> QModel:
    return random_conv_model(4, RandomFamily(kernels=(2, 2), channels=(2, 2), padding=True, strides=(1, 2)))


def test_designs_lint(tmp_path: Path) -> None:
    designs = [
        write_design(random_conv_model(1, DETECTOR), RtlOptions(), tmp_path / "stream"),
        write_design(
            random_conv_model(7, RandomFamily(input_channels=3, input_width=3, dilations=(2,))),
            RtlOptions(latency_cutoff=1.0, max_width=100),
            tmp_path / "dilated",
        ),
        write_design(unrolled_model(), RtlOptions(style="unrolled"), tmp_path / "unrolled"),
    ]
    for design in designs:
        lint(design.sources, design.top)


def test_library_and_designs_are_verilog_2005_to_icarus(tmp_path: Path) -> None:
    design = write_design(random_conv_model(1, DETECTOR), RtlOptions(), tmp_path / "stream")
    command = ["iverilog", "-g2005", "-Wall", "-tnull", "-s", design.top, *map(str, design.sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_yosys_reads_the_library() -> None:
    program = (
        "import sys\nfrom pyosys import libyosys as ys\n"
        "for top in sys.argv[2].split(','):\n"
        "    design = ys.Design()\n"
        "    ys.run_pass(f'read_verilog {sys.argv[1]}', design)\n"
        "    for command in (f'hierarchy -check -top {top}', 'proc', 'check -assert'):\n"
        "        ys.run_pass(command, design)\n"
        "print('every module read')\n"
    )
    files = " ".join(map(str, library_files()))
    done = subprocess.run(
        [sys.executable, "-c", program, files, ",".join(sorted(VARIANTS))],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "every module read" in done.stdout, (
        done.stdout[-2000:] + done.stderr[-2000:]
    )
    assert "Warning" not in done.stdout + done.stderr
