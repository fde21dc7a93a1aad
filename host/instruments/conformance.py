"""What every instrument must do: checks for the author of an adapter, and for the tests of those that exist.

Each check takes an open instrument, leaves it blanked with no scan running, and raises `AssertionError` with
what is wrong. `CHECKS` lists them all; give them to `pytest.mark.parametrize`. Run on a real instrument,
they put the beam on the sample: choose the place and the dose.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dwell.errors import DeviceError
from dwell.host.instruments.protocol import Instrument, Row, ScanRequest

FIELD_NM = 2.56
LINES = PIXELS = 64
DWELL_US = 8.0


def _request(frames: int = 1, lines: int = LINES) -> ScanRequest:
    return ScanRequest(lines=lines, pixels=PIXELS, dwell_us=DWELL_US, frames=frames)


@contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except DeviceError:
        return
    raise AssertionError(f"{what} was not refused")


def _ready(instrument: Instrument) -> None:
    instrument.stop_scan()
    instrument.set_field_of_view(FIELD_NM)
    instrument.set_stage(0.0, 0.0)
    instrument.set_defocus(0.0)
    instrument.unblank()


def check_it_is_an_instrument(instrument: Instrument) -> None:
    """It has every method, says what it is, and its energies rise evenly."""
    assert isinstance(instrument, Instrument), "methods are missing"
    info = instrument.info
    steps = np.diff(info.energies_eV)
    assert info.name and info.timeout_s > 0
    assert len(steps) > 10 and steps.min() > 0 and np.allclose(steps, steps[0])


def check_state_follows_commands(instrument: Instrument) -> None:
    """What was set is what `state` shows."""
    _ready(instrument)
    instrument.set_field_of_view(5.0)
    instrument.set_defocus(-3.5)
    instrument.set_stage(1.5, -0.5)
    instrument.set_probe(1.25, 2.5)
    instrument.blank()
    state = instrument.state()
    assert state.blanked and not state.scanning
    assert np.isclose(state.field_of_view_nm, 5.0) and np.isclose(state.defocus_nm, -3.5)
    assert np.allclose(state.stage_nm, (1.5, -0.5)) and np.allclose(state.probe_nm, (1.25, 2.5))
    _ready(instrument)
    assert not instrument.state().blanked
    instrument.blank()


def check_rows_come_in_order(instrument: Instrument) -> None:
    """Every row of every frame once, in raster order, with rising times, values in [0, 1)."""
    _ready(instrument)
    rows = list(instrument.scan(_request(frames=2, lines=16)))
    instrument.blank()
    assert [(r.frame, r.line) for r in rows] == [(f, k) for f in range(2) for k in range(16)]
    assert all(r.pixels.shape == (PIXELS,) and r.pixels.dtype == np.float32 for r in rows)
    values = np.stack([r.pixels for r in rows])
    assert values.min() >= 0.0 and values.max() < 1.0 and values.std() > 0.0
    assert all(a.finished_s <= b.finished_s for a, b in itertools.pairwise(rows))
    assert not instrument.state().scanning


def check_rows_come_as_they_are_scanned(instrument: Instrument) -> None:
    """The first row is there long before the scan is over."""
    _ready(instrument)
    started = time.monotonic()
    request = ScanRequest(lines=64, pixels=PIXELS, dwell_us=100.0)
    rows = instrument.scan(request)
    next(rows)
    first = time.monotonic() - started
    rest = len(list(rows))
    whole = time.monotonic() - started
    instrument.blank()
    assert rest == request.lines - 1
    assert whole >= 0.8 * request.lines * PIXELS * 1e-4, "the scan took less time than its dwell times"
    assert first < 0.5 * whole, f"the first row came after {first:.3f} s of {whole:.3f} s"


def check_leaving_the_iterator_stops_the_scan(instrument: Instrument) -> None:
    """Closing the iterator stops the scan, and another can begin."""
    _ready(instrument)
    rows = instrument.scan(_request(frames=100))
    next(rows)
    assert instrument.state().scanning
    rows.close()  # type: ignore[attr-defined]
    assert not instrument.state().scanning
    assert len(list(instrument.scan(_request(lines=4)))) == 4
    instrument.blank()


def check_stop_scan_ends_the_iterator(instrument: Instrument) -> None:
    """`stop_scan` ends a scan from outside."""
    _ready(instrument)
    rows = instrument.scan(_request(frames=100))
    next(rows)
    instrument.stop_scan()
    assert len(list(rows)) < 99 * LINES
    instrument.blank()


def check_one_scan_at_a_time(instrument: Instrument) -> None:
    """A second scan, and another field of view, are refused while one runs."""
    _ready(instrument)
    rows = instrument.scan(_request(frames=100))
    next(rows)
    with _refused("a second scan"):
        next(instrument.scan(_request()))
    with _refused("another field of view during a scan"):
        instrument.set_field_of_view(3.0)
    rows.close()  # type: ignore[attr-defined]
    instrument.blank()


def _means_around(instrument: Instrument, act: Callable[[], None]) -> tuple[float, float, int]:
    """Mean signal before `act`, called in mid-frame, and in the frame's last quarter; and the row it was
    called at.
    """
    _ready(instrument)
    before: list[Row] = []
    after: list[Row] = []
    acted = -1
    for row in instrument.scan(ScanRequest(lines=64, pixels=PIXELS, dwell_us=40.0)):
        (before if acted < 0 else after).append(row)
        if row.line >= 20 and acted < 0:
            act()
            acted = row.line
    instrument.blank()
    settled = [r for r in after if r.line >= 48]
    assert settled, "the scan was over before the command"
    return (float(np.mean([r.pixels for r in before])), float(np.mean([r.pixels for r in settled])), acted)


def check_blanking_shows_in_mid_frame(instrument: Instrument) -> None:
    """Rows scanned after a blank are dark, those before it are not."""
    before, after, _ = _means_around(instrument, instrument.blank)
    assert before > 0.01 and after < 0.2 * before, (
        f"mean signal {before:.4f} before, {after:.4f} after the blank"
    )


def check_a_command_during_a_scan_loses_no_row(instrument: Instrument) -> None:
    """A spectrum in mid-frame holds the scan; every row still comes."""
    _ready(instrument)
    lines: list[int] = []
    for row in instrument.scan(_request()):
        lines.append(row.line)
        if row.line == 20:
            instrument.spectrum(1.0, 1.0, 5.0)
    instrument.blank()
    assert lines == list(range(LINES))


def check_spectrum(instrument: Instrument) -> None:
    """A spectrum has a count for every energy, most of them in the zero-loss peak, and grows with the dwell
    time.
    """
    _ready(instrument)
    short, long = instrument.spectrum(1.28, 1.28, 2.0), instrument.spectrum(1.28, 1.28, 20.0)
    instrument.blank()
    energies = instrument.info.energies_eV
    assert short.counts.shape == long.counts.shape == energies.shape
    assert abs(float(energies[int(long.counts.argmax())])) < 5.0, "the zero-loss peak is not at 0 eV"
    assert 6.0 < long.counts.sum() / short.counts.sum() < 14.0
    assert long.finished_s - long.received_s >= 0.019 if instrument.info.shares_clock else True


def check_blanked_spectrum_is_dark(instrument: Instrument) -> None:
    """Without a beam there is no zero-loss peak."""
    _ready(instrument)
    lit = instrument.spectrum(1.28, 1.28, 2.0).counts.sum()
    instrument.blank()
    assert instrument.spectrum(1.28, 1.28, 2.0).counts.sum() < 0.01 * lit


def check_electrons_are_counted(instrument: Instrument) -> None:
    """Dose is booked when the beam is on, and only then."""
    _ready(instrument)
    start = instrument.state().electrons
    instrument.spectrum(1.0, 1.0, 10.0)
    spent = instrument.state().electrons - start
    expected = instrument.state().probe_current_pA * 6.2415e4
    instrument.blank()
    instrument.spectrum(1.0, 1.0, 10.0)
    assert 0.9 * expected < spent < 1.1 * expected
    assert np.isclose(instrument.state().electrons, start + spent)


def check_probe_outside_the_field_is_refused(instrument: Instrument) -> None:
    """Positions outside the field of view are refused, whoever asks, and so is what is no number."""
    _ready(instrument)
    instrument.blank()
    for x, y in ((-0.1, 1.0), (1.0, -0.1), (FIELD_NM + 0.1, 1.0), (1.0, FIELD_NM + 0.1), (float("nan"), 1.0)):
        with _refused(f"a spectrum at ({x}, {y})"):
            instrument.spectrum(x, y, 1.0)
        with _refused(f"the probe at ({x}, {y})"):
            instrument.set_probe(x, y)


def check_bad_arguments_are_refused(instrument: Instrument) -> None:
    """Negative times, empty frames, infinite defocus."""
    _ready(instrument)
    instrument.blank()
    for request in (ScanRequest(0, 64, 1.0), ScanRequest(64, 64, -1.0), ScanRequest(64, 64, 1.0, 0)):
        with _refused(str(request)):
            next(instrument.scan(request))
    with _refused("a negative dwell time"):
        instrument.spectrum(1.0, 1.0, -1.0)
    with _refused("an infinite defocus"):
        instrument.set_defocus(float("inf"))
    with _refused("no field of view"):
        instrument.set_field_of_view(0.0)


CHECKS: tuple[Callable[[Instrument], None], ...] = (
    check_it_is_an_instrument,
    check_state_follows_commands,
    check_rows_come_in_order,
    check_rows_come_as_they_are_scanned,
    check_leaving_the_iterator_stops_the_scan,
    check_stop_scan_ends_the_iterator,
    check_one_scan_at_a_time,
    check_blanking_shows_in_mid_frame,
    check_a_command_during_a_scan_loses_no_row,
    check_spectrum,
    check_blanked_spectrum_is_dark,
    check_electrons_are_counted,
    check_probe_outside_the_field_is_refused,
    check_bad_arguments_are_refused,
)
