"""The simulated microscope keeps the contract of instruments, and what it shows is what its column does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dwell.errors import DeviceError
from dwell.host.instruments import Instrument, ScanRequest
from dwell.host.instruments.conformance import CHECKS
from dwell.host.instruments.nion.client import NionInstrument
from dwell.host.instruments.nion.settings import MicroscopeSettings


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_conformance(microscope: NionInstrument, check: Callable[[Instrument], None]) -> None:
    check(microscope)


def _frame(instrument: NionInstrument, side: int = 96, dwell_us: float = 8.0) -> np.ndarray:
    instrument.set_field_of_view(side * 0.04)
    instrument.unblank()
    rows = [row.pixels for row in instrument.scan(ScanRequest(side, side, dwell_us))]
    instrument.blank()
    return np.stack(rows)


def test_vacancies_are_darker_than_perfect_columns(microscope: NionInstrument) -> None:
    """At each true vacancy the image is darker than at the brightest of its like: the sample's defects are
    real.
    """
    image = _frame(microscope, 128)
    at = np.rint(microscope.ground_truth_nm() / 0.04 - 0.5).astype(int)
    at = at[((at > 4) & (at < 123)).all(axis=1)]
    assert len(at) > 3
    smooth = sum(np.roll(image, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    # a perfect S2 column scatters 2 * (16/42)^1.6 = 0.43 of an Mo column, one with a vacancy half of that
    assert smooth[at[:, 1], at[:, 0]].mean() < 0.4 * np.quantile(smooth, 0.98)


def test_the_noise_is_poisson_and_follows_the_dose(microscope: NionInstrument) -> None:
    """Differences of two frames of one place have the variance of counted electrons."""
    frames = [_frame(microscope, 96) for _ in range(1)]
    request = ScanRequest(96, 96, 8.0, frames=2)
    microscope.unblank()
    rows = np.stack([row.pixels for row in microscope.scan(request)]).reshape(2, 96, 96)
    microscope.blank()
    gain = 1.0 / microscope.settings.imaging.full_scale_electrons
    noise = (rows[0] - rows[1]).var() / 2
    assert noise == pytest.approx(rows.mean() * gain, rel=0.15)
    assert frames[0].mean() == pytest.approx(rows.mean(), rel=0.02)


def test_half_the_dwell_is_half_the_signal(microscope: NionInstrument) -> None:
    assert _frame(microscope, dwell_us=4.0).mean() == pytest.approx(_frame(microscope).mean() / 2, rel=0.05)


def test_defocus_blurs(microscope: NionInstrument) -> None:
    """The same electrons on a wider spot: the mean stays, the contrast falls."""
    sharp = _frame(microscope)
    microscope.set_defocus(15.0)
    blurred = _frame(microscope)
    microscope.set_defocus(0.0)
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.03)
    assert blurred.std() < 0.6 * sharp.std()


def test_a_stage_move_shows_from_the_next_line_on(microscope: NionInstrument) -> None:
    """Above the move the frame is that of the old place, below it that of the new one."""
    old = _frame(microscope)
    microscope.set_stage(0.4, 0.0)
    new = _frame(microscope)
    microscope.set_stage(0.0, 0.0)
    microscope.unblank()
    rows, moved = [], -1
    for row in microscope.scan(ScanRequest(96, 96, 20.0)):
        rows.append(row.pixels * 0.4)
        if row.line == 30:
            microscope.set_stage(0.4, 0.0)
            moved = row.line
    microscope.blank()
    microscope.set_stage(0.0, 0.0)
    mixed = np.stack(rows)

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    assert moved == 30
    assert alike(mixed[:30], old[:30]) > 0.8 > 0.5 > alike(mixed[:30], new[:30])
    assert alike(mixed[60:], new[60:]) > 0.8 > 0.5 > alike(mixed[60:], old[60:])


def test_a_stage_move_carries_the_sample_to_the_right(microscope: NionInstrument) -> None:
    """+x by ten pixels: the image moves ten pixels to the right, the truth with it."""
    before, old = _frame(microscope), microscope.ground_truth_nm()
    microscope.set_stage(0.4, 0.0)
    after, new = _frame(microscope), microscope.ground_truth_nm()
    microscope.set_stage(0.0, 0.0)
    assert np.corrcoef(before[:, :-10].ravel(), after[:, 10:].ravel())[0, 1] > 0.8
    shifted = old + np.array([0.4, 0.0])
    inside = shifted[(shifted[:, 0] > 0.41) & (shifted[:, 0] < 3.83)]
    assert all(np.hypot(*(new - v).T).min() < 1e-6 for v in inside)


def test_the_sulphur_edge_is_weaker_at_a_vacancy(microscope: NionInstrument) -> None:
    """Expected counts of the model: between a perfect column and a vacancy the edge falls by a quarter to a
    half.
    """
    from dwell.host.bridge.analysis import compare

    microscope.set_field_of_view(12.0)
    microscope.unblank()
    truth = microscope.ground_truth_nm()
    lone = [v for v in truth if v.min() > 1 and v.max() < 11][:12]
    # perfect columns: a lattice vector away from a vacancy, and far from any other
    turn = np.deg2rad(microscope.settings.specimen.rotation_deg)
    step = 0.316 * np.array([np.cos(turn), np.sin(turn)])
    perfect = [v + step for v in lone if np.hypot(*(truth - v - step).T).min() > 0.25]
    at_vacancies, at_perfect = (
        np.stack([microscope.spectrum(x, y, 10.0).counts for x, y in places]) for places in (lone, perfect)
    )
    microscope.blank()
    found = compare(microscope.info.energies_eV, at_vacancies, at_perfect)
    assert found is not None and found.sigmas > 5
    assert 0.4 < found.events / found.references < 0.8


def test_the_same_seed_gives_the_same_microscope(
    start_microscope: Callable[..., NionInstrument],
    bright: Callable[[int], MicroscopeSettings],
    microscope: NionInstrument,
) -> None:
    with start_microscope(bright(1)) as twin, start_microscope(bright(2)) as other:
        frames = [_frame(m, 64) for m in (microscope, twin, other)]
        truths = [m.ground_truth_nm() for m in (microscope, twin, other)]
    assert np.array_equal(frames[0], frames[1]) and not np.array_equal(frames[0], frames[2])
    assert np.array_equal(truths[0], truths[1]) and not np.array_equal(truths[0], truths[2])


def test_a_position_outside_the_field_says_so(microscope: NionInstrument) -> None:
    microscope.set_field_of_view(6.0)
    with pytest.raises(
        DeviceError, match=r"\(7, 1\) nm is outside the field of view, which is 6 nm wide and 6 nm high"
    ):
        microscope.spectrum(7.0, 1.0, 1.0)


def test_row_latency(microscope: NionInstrument) -> None:
    """From a finished row to the host, on one machine: some milliseconds at most, even on a busy one."""
    import time

    microscope.set_field_of_view(5.12)
    microscope.unblank()
    late = [time.monotonic() - row.finished_s for row in microscope.scan(ScanRequest(128, 128, 16.0))]
    microscope.blank()
    assert np.median(late) < 0.01
