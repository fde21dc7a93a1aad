"""Random small networks, from golden model to Verilog to Icarus, code for code."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rtl_streams import Beat, decisions, expect_frames, frame_beats, packed, run_beats

from dwell.hls.qmodel import FixedPoint, Overflow, QModel, Rounding, run_codes, value_range, window_of
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design

pytestmark = pytest.mark.rtl

PAUSES = ((0, 0), (30, 30), (0, 80), (60, 0))


def small_model(seed: int) -> QModel:
    """Convolution with stride and padding, or none; two dense layers; every kind of cast."""
    rng = np.random.default_rng(seed)
    build = Builder()

    def rounding() -> Rounding:
        return Rounding(rng.choice(list(Rounding)))

    def overflow() -> Overflow:
        return Overflow(rng.choice(list(Overflow)))

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-7, 8, shape) * (rng.random(shape) < 0.8)

    kind = FixedPoint(bool(rng.integers(2)), int(rng.integers(2, 8)), int(rng.integers(-2, 6)))
    if rng.integers(2):
        rows, columns, channels = (int(v) for v in rng.integers((3, 3, 1), (5, 5, 3)))
        at = build.input("x", (rows, columns, channels), kind, rounding(), overflow())
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        top, bottom, left, right = (int(v) for v in rng.integers(0, 2, 4))
        at = build.conv2d(
            "conv", at, weights(2, 2, channels, 2), 2, rng.integers(-50, 50, 2), kind.frac + 1,
            stride=stride, padding=(top, bottom, left, right),
        )  # fmt: skip
        at = build.relu("act", at) if rng.integers(2) else at
        kinds = [FixedPoint(bool(rng.integers(2)), 4, kind.frac + int(rng.integers(-2, 2))) for _ in range(2)]
        at = build.flatten("flat", build.cast("quant", at, kinds, rounding(), overflow()))
    else:
        at = build.input("x", (int(rng.integers(3, 12)),), kind, rounding(), overflow())
    at = build.dense(
        "hidden",
        at,
        weights(build.tensor(at).shape[-1], 5),
        1,
        rng.integers(-99, 99, 5),
        int(rng.integers(-2, 6)),
    )
    at = build.relu("hidden_act", at)
    to = FixedPoint(
        bool(rng.integers(2)), int(rng.integers(1, 6)), build.tensor(at).type.frac - int(rng.integers(0, 6))
    )
    at = build.cast("hidden_quant", at, [to], rounding(), overflow())
    at = build.dense("out", at, weights(5, 3), 3, rng.integers(-9, 9, 3), 2)
    if rng.integers(2):
        at = build.cast(
            "logits", at, [FixedPoint(True, 6, build.tensor(at).type.frac - 2)], rounding(), overflow()
        )
    return build.finish(f"net{seed}", at)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 8), st.integers(1, 6), st.integers(1, 6),
    st.sampled_from([(1,), (1, 2), (3,)]), st.floats(1.0, 6.0), st.sampled_from(PAUSES),
)  # fmt: skip
def test_streams(
    seed: int, channels: int, pixel: int, weight: int, activation: int, dilations: tuple[int, ...],
    cutoff: float, pauses: tuple[int, int],
) -> None:  # fmt: skip
    family = RandomFamily(
        input_channels=channels, input_width=pixel, weight_width=weight, activation_width=activation,
        dilations=dilations,
    )  # fmt: skip
    model = random_conv_model(seed, family)
    rng = np.random.default_rng(seed)
    rows, columns = window_of(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = RtlOptions(latency_cutoff=cutoff, max_width=columns + 8)
        design = write_design(model, options, folder / "design")
        low, high = (int(v[0]) for v in value_range(model, model.input))
        frames = [
            rng.integers(
                low, high + 1, (rows + int(rng.integers(0, 5)), columns + int(rng.integers(0, 8)), channels)
            )
            for _ in range(3)
        ]
        beats = [beat for frame in frames for beat in frame_beats(frame, pixel)]
        run = run_beats(
            design, folder, beats, gap_percent=pauses[0], stall_percent=pauses[1], seed=seed % 1000
        )
        codes, marks = decisions(design, run)
        wanted, wanted_marks = expect_frames(design, model, frames)
        assert not run.faults
        np.testing.assert_array_equal(codes, wanted)
        np.testing.assert_array_equal(marks, wanted_marks)


@pytest.mark.parametrize("seed", range(8))
def test_unrolled(seed: int, tmp_path: Path) -> None:
    model, rng = small_model(seed), np.random.default_rng(seed)
    options = RtlOptions(style="unrolled", latency_cutoff=float(rng.uniform(1, 6)))
    design = write_design(model, options, tmp_path / "design")
    low, high = (int(v[0]) for v in value_range(model, model.input))
    x = rng.integers(low, high + 1, (60, *design.input.shape))
    x[0], x[1] = low, high
    beats: list[Beat] = [
        (bool(rng.integers(2)), bool(rng.integers(2)), packed(list(v.ravel()), design.input.type.width))
        for v in x
    ]
    gap, stall = PAUSES[seed % 4]
    run = run_beats(design, tmp_path, beats, gap_percent=gap, stall_percent=stall, seed=seed + 1)
    codes, marks = decisions(design, run)
    assert not run.faults
    np.testing.assert_array_equal(codes, run_codes(model, x).reshape(60, -1))
    np.testing.assert_array_equal(marks, [beat[:2] for beat in beats])
    if not stall:
        assert set(run.out_clocks - run.in_clocks) == {design.latency_cycles}
