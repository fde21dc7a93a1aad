"""The simulated microscope for tests: one for those that leave it as it was, a fresh one for those that
break it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dwell.environments.locate import locate
from dwell.environments.lock import read_lock
from dwell.hls.qmodel import FixedPoint, QModel, run_model
from dwell.hls.qmodel.build import Builder
from dwell.host.instruments import ScanRequest
from dwell.host.instruments.nion.client import NionInstrument
from dwell.host.instruments.nion.settings import MicroscopeSettings

Start = Callable[..., NionInstrument]
WINDOW, FIELD_NM, SIDE = 11, 6.4, 160


@pytest.fixture(scope="session")
def scope_python() -> Path:
    """The Python of the environment `scope`; skips where it has not been made."""
    for package in ("Pyro5", "cryptography", "h5py"):
        pytest.importorskip(package, reason=f"the host's side needs {package}")
    found = locate(read_lock("scope"))
    if not found.ready:
        pytest.skip(f"no microscope: environment 'scope' is {found.reason}")
    return found.python


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole process: Pyro knows one set of certificates."""
    return tmp_path_factory.mktemp("link") / "tls"


@pytest.fixture(scope="session")
def bright() -> Callable[[int], MicroscopeSettings]:
    """Settings with five times the usual dose and a flat specimen: even a linear detector does well there."""

    def settings(seed: int) -> MicroscopeSettings:
        imaging = {
            "probe_current_pA": 100.0,
            "contamination": 0.0,
            "full_scale_electrons": 172.2,
            "jitter_sigma_A": 0.02,
        }
        specimen = {"size_nm": 20.0, "tilt_mrad": 0.0}
        return MicroscopeSettings.model_validate({"seed": seed, "specimen": specimen, "imaging": imaging})

    return settings


@pytest.fixture(scope="session")
def start_microscope(
    scope_python: Path, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start microscopes; whatever a test leaves of them is gone at the end."""
    started: list[NionInstrument] = []

    def start(settings: MicroscopeSettings | None = None) -> NionInstrument:
        log = tmp_path_factory.mktemp("microscope") / "microscope.log"
        started.append(NionInstrument.start(scope_python, settings, certificates=certificates, log=log))
        return started[-1]

    yield start
    for instrument in started:
        instrument.close()


@pytest.fixture(scope="session")
def microscope(start_microscope: Start, bright: Callable[[int], MicroscopeSettings]) -> NionInstrument:
    """A microscope that tests share and leave blanked, with no scan running."""
    return start_microscope(bright(1))


@pytest.fixture
def fresh(start_microscope: Start, bright: Callable[[int], MicroscopeSettings]) -> Iterator[NionInstrument]:
    """A microscope of a test's own."""
    instrument = start_microscope(bright(1))
    yield instrument
    instrument.close()


def scan_image(instrument: NionInstrument, side: int = SIDE, field_nm: float = FIELD_NM) -> np.ndarray:
    """One frame at 30,000 electrons per Å², or what the microscope's current makes of the same dwell."""
    instrument.set_field_of_view(field_nm)
    instrument.unblank()
    dwell = instrument.settings.dwell_us_for_dose(30_000, 10 * field_nm / side)
    rows = [row.pixels for row in instrument.scan(ScanRequest(side, side, dwell))]
    instrument.blank()
    return np.stack(rows)


@pytest.fixture(scope="session")
def detector(start_microscope: Start, bright: Callable[[int], MicroscopeSettings]) -> tuple[QModel, int]:
    """A detector and its threshold: least squares on one frame of another specimen, as a single 8-bit
    convolution.
    """
    with start_microscope(bright(77)) as instrument:
        image = scan_image(instrument)
        truth = instrument.ground_truth_nm() / (FIELD_NM / SIDE) - 0.5
    radius = WINDOW // 2
    windows = np.lib.stride_tricks.sliding_window_view(image, (WINDOW, WINDOW)).reshape(-1, WINDOW**2)
    y, x = (g.ravel() for g in np.mgrid[radius : SIDE - radius, radius : SIDE - radius])
    distance = np.hypot(x[:, None] - truth[:, 0], y[:, None] - truth[:, 1]).min(axis=1)
    near, far = distance < 1.2, distance > 3.0
    weight = np.where(near, far.sum() / near.sum(), far.astype(float))[:, None]
    design = np.c_[windows, np.ones(len(windows))].astype(np.float64)
    normal = (design * weight).T @ design + 0.3 * np.eye(WINDOW**2 + 1)
    solution = np.linalg.solve(normal, (design * weight).T @ np.where(near, 1.0, -1.0))
    scale = 127.0 / np.abs(solution[:-1]).max()
    builder = Builder()
    source = builder.input("x", (WINDOW, WINDOW, 1), FixedPoint(False, 8, 8))
    kernel = np.rint(solution[:-1] * scale).astype(np.int64).reshape(WINDOW, WINDOW, 1, 1)
    bias = np.array([round(float(solution[-1]) * scale * 256)], dtype=np.int64)
    score = builder.conv2d("score", source, kernel, 0, bias, 8)
    model = builder.finish("linear", score)
    codes = run_model(model, image[None, :, :, None])[0, :, :, 0].ravel()
    return model, int(np.quantile(codes[distance > 2.5], 1 - 2e-4)) + 1
