"""What lies between the layers of a fixed-frame stream: guard, FIFO, fork, join, converters, upsampling, marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_icarus import StreamRun, run_stream
from rtl_streams import packed, unpacked

from dwell.hls.rtl import library_files

pytestmark = pytest.mark.rtl

PAUSES = [(0, 0), (40, 40), (0, 70), (70, 0)]

_HEAD = """\
`default_nettype none
module wrapper (
    input wire aclk, input wire aresetn,
    input wire [{i}-1:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    input wire s_axis_tlast, input wire s_axis_tuser,
    output wire [{o}-1:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready,
    output wire m_axis_tlast, output wire m_axis_tuser
);
"""


def run_body(
    folder: Path,
    body: str,
    bits: tuple[int, int],
    beats: list[tuple[bool, bool, int]],
    pauses: tuple[int, int],
) -> StreamRun:
    """Instances between the ports of a stream, on a bench."""
    file = folder / "wrapper.v"
    file.write_text(_HEAD.format(i=bits[0], o=bits[1]) + body + "\nendmodule\n`default_nettype wire\n")
    run = run_stream(
        folder, [file, *library_files()], "wrapper", bits, beats,
        gap_percent=pauses[0], stall_percent=pauses[1], seed=sum(pauses) + 1,
    )  # fmt: skip
    assert not run.faults, run.faults
    return run


GUARD = """
    dwell_frame_guard #(.BITS(8), .BEATS(5)) dut (
        .clk(aclk), .rst_n(aresetn), .s_valid(s_axis_tvalid), .s_ready(s_axis_tready), .s_user(s_axis_tuser),
        .s_data(s_axis_tdata), .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_first(m_axis_tuser),
        .m_last(m_axis_tlast), .m_data(m_axis_tdata)
    );
    wire unused = s_axis_tlast;
"""


def guarded(beats: list[tuple[bool, bool, int]], size: int) -> list[int]:
    """What the guard is for, beat by beat."""
    out: list[int] = []
    for user, _, data in beats:
        if user and len(out) % size:
            out += [0] * (size - len(out) % size)
        if user or len(out) % size:
            out.append(data)
    return out


@pytest.mark.parametrize("pauses", PAUSES)
def test_frames_are_whole_behind_the_guard(pauses: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(sum(pauses))
    beats = [(bool(rng.random() < 0.2), bool(rng.integers(2)), int(rng.integers(1, 256))) for _ in range(900)]
    run = run_body(tmp_path, GUARD, (8, 8), beats, pauses)
    wanted = guarded(beats, 5)
    # The last frame is completed by the next one's first beat only.
    assert list(run.data) == wanted
    places = np.arange(len(wanted)) % 5
    assert (run.user == (places == 0)).all() and (run.last == (places == 4)).all()
    assert len(run.in_clocks) == len(beats)


def test_the_guard_takes_a_beat_every_clock(tmp_path: Path) -> None:
    beats = [(n % 5 == 0, False, n) for n in range(50)]
    run = run_body(tmp_path, GUARD, (8, 8), beats, (0, 0))
    assert (np.diff(run.in_clocks) == 1).all() and (run.out_clocks - run.in_clocks == 1).all()


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_fifo(depth: int, pauses: tuple[int, int], tmp_path: Path) -> None:
    body = f"""
    dwell_fifo #(.BITS(8), .DEPTH({depth})) dut (
        .clk(aclk), .rst_n(aresetn), .s_valid(s_axis_tvalid), .s_ready(s_axis_tready), .s_data(s_axis_tdata),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data(m_axis_tdata)
    );
    assign {{m_axis_tlast, m_axis_tuser}} = 0;
    wire unused = s_axis_tlast & s_axis_tuser;
"""
    beats = [(False, False, n % 251) for n in range(500)]
    run = run_body(tmp_path, body, (8, 8), beats, pauses)
    assert list(run.data) == [beat[2] for beat in beats]
    if depth > 1 and pauses == (0, 0):
        assert (np.diff(run.in_clocks) == 1).all() and (run.out_clocks - run.in_clocks == 2).all()


@pytest.mark.parametrize("pauses", PAUSES)
def test_fork_and_join(pauses: tuple[int, int], tmp_path: Path) -> None:
    """Three branches of different depth bring the same beats together again."""
    branches = "".join(
        f"""
    dwell_fifo #(.BITS(8), .DEPTH({depth})) f{way} (
        .clk(aclk), .rst_n(aresetn), .s_valid(v[{way}]), .s_ready(r[{way}]), .s_data(s_axis_tdata),
        .m_valid(w[{way}]), .m_ready(q[{way}]), .m_data(m_axis_tdata[{8 * way}+:8])
    );"""
        for way, depth in enumerate((1, 5, 2))
    )
    body = f"""
    wire [2:0] v, r, w, q;
    dwell_fork #(.WAYS(3)) fork_ (.clk(aclk), .rst_n(aresetn), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready),
        .out_valid(v), .out_ready(r));{branches}
    dwell_join #(.WAYS(3)) join_ (.in_valid(w), .in_ready(q), .out_valid(m_axis_tvalid), .out_ready(m_axis_tready));
    assign {{m_axis_tlast, m_axis_tuser}} = 0;
    wire unused = s_axis_tlast & s_axis_tuser;
"""
    beats = [(False, False, n % 251) for n in range(400)]
    run = run_body(tmp_path, body, (8, 24), beats, pauses)
    assert list(run.data) == [beat[2] * 0x10101 for beat in beats]


def converter(module: str, parameters: str, in_bits: int, out_bits: int) -> str:
    """A converter whose bank bit is the highest of a beat; first and last as TUSER and TLAST."""
    return f"""
    {module} #({parameters}) dut (
        .clk(aclk), .rst_n(aresetn), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready), .in_first(s_axis_tuser),
        .in_last(s_axis_tlast), .in_bank(s_axis_tdata[{in_bits}]), .in_data(s_axis_tdata[{in_bits - 1}:0]),
        .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_first(m_axis_tuser), .out_last(m_axis_tlast),
        .out_bank(m_axis_tdata[{out_bits}]), .out_data(m_axis_tdata[{out_bits - 1}:0])
    );
"""


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize(("columns", "ratio"), [(8, 2), (7, 2), (9, 4), (4, 4), (6, 4), (5, 3)])
def test_narrow_and_widen(columns: int, ratio: int, pauses: tuple[int, int], tmp_path: Path) -> None:
    """Rows of `columns` pixels, `ratio` of them a beat, and back; the rest of a row's last beat is dropped."""
    rng = np.random.default_rng(columns * ratio)
    frames = rng.integers(0, 16, (8, 3, columns))
    per_row = -(-columns // ratio)
    wide, single = [], []
    for number, frame in enumerate(frames):
        bank = number % 2
        padded = np.full((3, per_row * ratio), 9)
        padded[:, :columns] = frame
        cells = padded.reshape(-1, ratio)
        wide += [
            (n == 0, n == len(cells) - 1, packed(list(c), 4) | bank << (4 * ratio))
            for n, c in enumerate(cells)
        ]
        flat = frame.ravel()
        single += [(n == 0, n == len(flat) - 1, int(c) | bank << 4) for n, c in enumerate(flat)]
    rest = columns - (per_row - 1) * ratio
    body = converter(
        "dwell_narrow",
        f".BITS(4), .RATIO({ratio}), .LINE_BEATS({per_row}), .LAST_PARTS({rest})",
        4 * ratio,
        4,
    )
    run = run_body(tmp_path, body, (4 * ratio + 1, 5), wide, pauses)
    assert list(zip(run.user, run.last, run.data, strict=True)) == single
    if pauses == (0, 0):
        assert (np.diff(run.out_clocks) == 1).all()
    body = converter("dwell_widen", f".BITS(4), .RATIO({ratio}), .LINE_PARTS({columns})", 4, 4 * ratio)
    run = run_body(tmp_path, body, (5, 4 * ratio + 1), single, pauses)
    assert list(run.user) == [b[0] for b in wide] and list(run.last) == [b[1] for b in wide]
    used = [ratio if (n + 1) % per_row else rest for n in range(len(wide))]
    for got, beat, count in zip(run.data, wide, used, strict=True):
        assert got >> (4 * ratio) == beat[2] >> (4 * ratio)
        assert unpacked(got, 4, False, count) == unpacked(beat[2], 4, False, count)
    if pauses == (0, 0):
        assert (np.diff(run.in_clocks) == 1).all()


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize(
    ("columns", "lanes", "out"),
    [
        (6, 4, 3),
        (10, 4, 5),
        (6, 4, 6),
        (9, 2, 3),
        (30, 8, 10),
        (14, 8, 7),
        (6, 8, 3),
        (10, 4, 2),
        (5, 4, 1),
        (7, 4, 7),
    ],
)
def test_regroup(columns: int, lanes: int, out: int, pauses: tuple[int, int], tmp_path: Path) -> None:
    """Rows of `columns` pixels, from `lanes` of them a beat to `out`, a divisor of the row."""
    rng = np.random.default_rng(columns * lanes)
    frames = rng.integers(0, 16, (6, 3, columns))
    per_row = -(-columns // lanes)
    beats, wanted = [], []
    for number, frame in enumerate(frames):
        bank = number % 2
        padded = np.full((3, per_row * lanes), 9)
        padded[:, :columns] = frame
        for size, bits, found, source in ((lanes, lanes, beats, padded), (out, out, wanted, frame)):
            cells = source.reshape(-1, size)
            found += [
                (n == 0, n == len(cells) - 1, packed(list(c), 4) | bank << (4 * bits))
                for n, c in enumerate(cells)
            ]
    rest = columns - (per_row - 1) * lanes
    body = converter(
        "dwell_regroup",
        f".BITS(4), .LANES({lanes}), .BEATS({per_row}), .LAST({rest}), .OUT({out})",
        4 * lanes,
        4 * out,
    )
    run = run_body(tmp_path, body, (4 * lanes + 1, 4 * out + 1), beats, pauses)
    assert list(zip(run.user, run.last, run.data, strict=True)) == wanted
    if pauses == (0, 0) and out >= lanes:
        assert (np.diff(run.in_clocks) == 1).all()


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize(
    ("lanes", "columns", "factor"), [(1, 4, (2, 2)), (2, 6, (3, 2)), (4, 4, (2, 1)), (2, 4, (1, 3))]
)
def test_upsample(
    lanes: int, columns: int, factor: tuple[int, int], pauses: tuple[int, int], tmp_path: Path
) -> None:
    wide = lanes * factor[1]
    body = f"""
    wire want, credit, valid, first, last, bank, step;
    wire [{4 * wide - 1}:0] data;
    dwell_upsample #(.PIXEL_BITS(4), .LANES({lanes}), .ROWS(3), .BEATS({columns // lanes}), .FACTOR_H({factor[0]}),
        .FACTOR_W({factor[1]})) dut (
        .clk(aclk), .rst_n(aresetn), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready),
        .in_bank(s_axis_tdata[{4 * lanes}]), .in_data(s_axis_tdata[{4 * lanes - 1}:0]), .want(want),
        .credit(credit), .out_valid(valid), .out_first(first),
        .out_last(last), .out_bank(bank), .out_data(data));
    dwell_credit_fifo #(.BITS({4 * wide + 3}), .LATENCY(1), .DEPTH_LOG2(2)) fifo (
        .clk(aclk), .rst_n(aresetn), .s_valid(want), .s_ready(credit), .accept(step),
        .out_valid(valid), .out_data({{first, last, bank, data}}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({{m_axis_tuser, m_axis_tlast, m_axis_tdata}}));
    wire unused = step & s_axis_tlast & s_axis_tuser;
"""
    frames = np.random.default_rng(lanes).integers(0, 16, (5, 3, columns))
    beats, wanted = [], []
    for number, frame in enumerate(frames):
        bank = number % 2
        beats += [(False, False, packed(list(c), 4) | bank << (4 * lanes)) for c in frame.reshape(-1, lanes)]
        large = frame.repeat(factor[0], axis=0).repeat(factor[1], axis=1).reshape(-1, wide)
        wanted += [
            (n == 0, n == len(large) - 1, packed(list(c), 4) | bank << (4 * wide))
            for n, c in enumerate(large)
        ]
    run = run_body(tmp_path, body, (4 * lanes + 1, 4 * wide + 1), beats, pauses)
    assert list(zip(run.user, run.last, run.data, strict=True)) == wanted
    if pauses == (0, 0):
        assert (np.diff(run.out_clocks) == 1).all()


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("largest", [0, 1])
def test_accumulate(signed: int, largest: int, tmp_path: Path) -> None:
    """Sums and maxima of frames of 7 values, one a clock."""
    body = f"""
    reg valid;
    assign s_axis_tready = 1'b1;
    always @(posedge aclk) valid <= aresetn & s_axis_tvalid & s_axis_tlast;
    dwell_accumulate #(.A_BITS(5), .A_SIGNED({signed}), .MAX({largest}), .Y_BITS(8)) dut (
        .clk(aclk), .in_valid(s_axis_tvalid), .in_first(s_axis_tuser), .a(s_axis_tdata), .y(m_axis_tdata));
    assign m_axis_tvalid = valid;
    assign m_axis_tuser = 0; assign m_axis_tlast = 0;
    wire unused = m_axis_tready;
"""
    values = np.random.default_rng(signed).integers(0, 32, (60, 7))
    beats = [(n == 0, n == 6, int(v)) for row in values for n, v in enumerate(row)]
    file = tmp_path / "wrapper.v"
    file.write_text(_HEAD.format(i=5, o=8) + body + "\nendmodule\n`default_nettype wire\n")
    run = run_stream(tmp_path, [file, *library_files()], "wrapper", (5, 8), beats, gap_percent=20)
    codes = np.where(values > 15, values - 32, values) if signed else values
    wanted = codes.max(axis=1) if largest else codes.sum(axis=1)
    assert list(run.data) == [int(w) & 255 for w in wanted]


def test_line_marks(tmp_path: Path) -> None:
    body = """
    assign m_axis_tdata = s_axis_tdata; assign m_axis_tvalid = s_axis_tvalid; assign s_axis_tready = m_axis_tready;
    dwell_line_marks #(.LINE_BEATS(3), .LINES(2)) dut (
        .clk(aclk), .rst_n(aresetn), .leave(s_axis_tvalid & m_axis_tready), .user(m_axis_tuser), .last(m_axis_tlast));
    wire unused = s_axis_tlast & s_axis_tuser;
"""
    run = run_body(tmp_path, body, (8, 8), [(False, False, n) for n in range(30)], (30, 30))
    assert list(run.user) == [n % 6 == 0 for n in range(30)] and list(run.last) == [
        n % 3 == 2 for n in range(30)
    ]
