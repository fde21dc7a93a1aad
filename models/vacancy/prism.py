"""The held-out images: MoS2 with vacancies by PRISM multislice, kept with the package as `prism_haadf.npz`.

`models/vacancy/recipe/make_prism.py` made them with abTEM, in an environment of its own; the file names versions,
seed and settings. They are noise-free, from a point source; this module only blurs them by the source size and
reads them off where the probe stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

from dwell.errors import ConfigError, InternalError
from dwell.models.vacancy.imaging import FWHM_PER_SIGMA, Scan
from dwell.models.vacancy.specimen import FloatArray

FILE = Path(__file__).with_name("prism_haadf.npz")
POINT_FWHM_A = 0.665
"""Width of the core of the PRISM images' point-source probe in focus, by fits of the linear model to them."""


@dataclass(frozen=True)
class PrismImages:
    """`image` (N, n, n) fraction of the beam on the detector at steps of `step_A`, the centre of the field at index
    n / 2; `vacancies` (M, 3) rows (image, y, x) in Å from the centre; `missing` (M,); `condition` (N, 4) rotation in
    rad, tilt in mrad, its azimuth in rad, defocus in Å; `recipe` how they were made."""

    image: NDArray[np.float32]
    vacancies: FloatArray
    missing: NDArray[np.int64]
    condition: FloatArray
    step_A: float
    recipe: dict[str, Any]

    def vacancies_of(self, index: int) -> tuple[FloatArray, NDArray[np.int64]]:
        """Positions (m, 2) in Å of one image's vacancies, and how many atoms each lacks."""
        rows = self.vacancies[:, 0] == index
        return self.vacancies[rows, 1:], self.missing[rows]

    def signal(self, index: int, fwhm_A: float) -> Callable[[Scan], FloatArray]:
        """The signal on any scan, with the source size that makes the in-focus probe `fwhm_A` wide.

        The function raises `ConfigError` when the scan leaves the image.
        """
        source = np.sqrt(max(fwhm_A**2 - POINT_FWHM_A**2, 0.0)) / FWHM_PER_SIGMA / self.step_A
        image = gaussian_filter(self.image[index].astype(np.float64), source, mode="nearest")
        spline = spline_filter(image, order=3)
        side = image.shape[0]

        def at(scan: Scan) -> FloatArray:
            where = np.stack(scan.positions_A()) / self.step_A + side / 2
            if where.min() < -1 or where.max() > side:
                raise ConfigError(
                    f"a scan reaches {np.abs(where - side / 2).max() * self.step_A:.1f} Å from the centre of a PRISM "
                    f"image that holds {side / 2 * self.step_A:.1f} Å",
                    place="model.sets.frame_px",
                    hint="make frame_px, pixel_A, drift_A_per_frame or jitter_sigma_A smaller",
                )
            out: FloatArray = map_coordinates(spline, where, order=3, mode="nearest", prefilter=False)
            return out

        return at


def load(path: Path = FILE) -> PrismImages:
    """Read the package's images. Raises `InternalError` when the file is not there."""
    if not path.is_file():
        raise InternalError(
            f"{path.name} is missing from the package",
            place=str(path),
            hint="install dwell anew, or make the file with models/vacancy/recipe/make_prism.py",
        )
    with np.load(path) as file:
        return PrismImages(
            file["image"].astype(np.float32),
            file["vacancies"].astype(np.float64),
            file["missing"].astype(np.int64),
            file["condition"],
            float(file["step_A"]),
            json.loads(str(file["recipe"])),
        )
