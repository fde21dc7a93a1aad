"""Data sets of simulated scans: drawn from a seed, split by specimen, kept as npz.

A set's file holds `frames` float32 (N, H, W) in [0, 1), multiples of 1/256; `vacancies` float32 (M, 3) rows
(frame, y_px, x_px); `missing` int8 (M,) sulphur atoms missing there (1 or 2); `specimen` int32 (N,); `pixel_A`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError
from dwell.models.vacancy.imaging import (
    Scan,
    contamination,
    detect,
    draw_scan,
    linear_signal,
    probe_at,
)
from dwell.models.vacancy.params import ImagingParams, VacancyParams
from dwell.models.vacancy.specimen import FloatArray, draw_specimen

SETS = ("train", "val", "test_linear", "test_prism")
MARGIN_A = 6.0  # of specimen round a frame, for drift, jitter and the probe's tail


@dataclass(frozen=True)
class FrameSet:
    """Scans and where their vacancies are. See the module's docstring for the arrays."""

    frames: NDArray[np.float32]
    vacancies: NDArray[np.float32]
    missing: NDArray[np.int8]
    specimen: NDArray[np.int32]
    pixel_A: float

    def save(self, path: Path) -> None:
        """Write as npz. The frames go as bytes (codes of 1/256), which loses nothing and packs well."""
        codes = (self.frames * 256).astype(np.uint8)
        if not np.array_equal(codes.astype(np.float32) / 256, self.frames):
            raise ConfigError("frames are not multiples of 1/256 in [0, 1)", place=str(path))
        np.savez_compressed(path, frames=self.frames, vacancies=self.vacancies, missing=self.missing,
                            specimen=self.specimen, pixel_A=np.float32(self.pixel_A))

    @classmethod
    def load(cls, path: Path) -> FrameSet:
        """Read and check. Raises `ConfigError` for a missing file, missing arrays, wrong shapes, or NaN pixels."""
        if not path.is_file():
            raise ConfigError(f"no data set at {path}", hint="build the stage 'data' first", place=str(path))
        with np.load(path) as file:
            wanted = ("frames", "vacancies", "specimen", "pixel_A")
            lacking = [name for name in wanted if name not in file]
            if lacking:
                raise ConfigError(f"{path.name} lacks {', '.join(lacking)}", place=str(path),
                                  hint=f"a data set holds {', '.join(wanted)}")
            frames = check_frames(file["frames"], place=str(path))
            vacancies = file["vacancies"].astype(np.float32).reshape(-1, 3)
            missing = file["missing"] if "missing" in file else np.ones(len(vacancies), np.int8)
            specimen, pixel = file["specimen"].astype(np.int32), float(file["pixel_A"])
        if specimen.shape != (len(frames),):
            raise ConfigError(f"specimen has shape {specimen.shape} for {len(frames)} frames", place=str(path))
        return cls(frames, vacancies, missing.astype(np.int8), specimen, pixel)


def check_frames(frames: NDArray[np.generic], *, place: str = "") -> NDArray[np.float32]:
    """Frames (N, H, W) as float32. Raises `ConfigError` naming the frame and pixel of the first NaN or infinity,
    or the shape when it is not three-dimensional."""
    if frames.ndim != 3 or frames.size == 0:
        raise ConfigError(f"frames have shape {frames.shape}; (frames, rows, columns) is wanted", place=place,
                          hint="give at least one frame, one channel")
    if frames.dtype.kind not in "fiu":
        raise ConfigError(f"frames hold {frames.dtype}; real numbers are wanted", place=place)
    out = frames.astype(np.float32)
    bad = ~np.isfinite(out)
    if bad.any():
        frame, row, column = (int(v) for v in np.argwhere(bad)[0])
        value = out[frame, row, column]
        raise ConfigError(
            f"frame {frame} has {value} at pixel ({row}, {column}); {int(bad.sum())} such pixels in all",
            hint="mask or interpolate bad detector pixels before handing the frames over", place=place)
    return out


@dataclass(frozen=True)
class _Source:
    """A specimen ready to be scanned: its noise-free signal on any scan, its vacancies, its beam current."""

    signal: Callable[[Scan], FloatArray]
    vacancies_A: FloatArray
    missing: NDArray[np.int64]
    beam: float


def draw_beam(imaging: ImagingParams, rng: np.random.Generator) -> float:
    """Beam current of a specimen's session over its nominal value."""
    return float(1 + rng.uniform(-imaging.dose_spread, imaging.dose_spread))


def _linear_source(params: VacancyParams, side_px: int, rng: np.random.Generator) -> _Source:
    imaging = params.imaging
    specimen = draw_specimen(params.specimen, side_px * imaging.pixel_A * (1 + imaging.pixel_spread) + MARGIN_A, rng)
    probe = probe_at(imaging, rng.uniform(*imaging.probe_fwhm_A), rng.uniform(*imaging.defocus_A))
    exponent = float(rng.uniform(*imaging.z_exponent))
    return _Source(lambda scan: linear_signal(specimen, probe, scan, imaging, exponent),
                   specimen.vacancies, specimen.missing, draw_beam(imaging, rng))


def scan_source(source: _Source, imaging: ImagingParams, side_px: int, rng: np.random.Generator,
                ) -> tuple[NDArray[np.float32], FloatArray, NDArray[np.bool_]]:
    """One noisy scan: the frame, vacancies (M, 2) in pixels, and which of the source's vacancies lie within."""
    scan = draw_scan(imaging, side_px, rng)
    signal = np.maximum(source.signal(scan), 0.0) + contamination(imaging, scan, rng)
    frame = detect(signal, source.beam, imaging, rng)
    points = scan.pixels_of(source.vacancies_A)
    seen = np.all((points >= -0.5) & (points < side_px - 0.5), axis=1)
    return frame, points[seen], seen


def _assemble(sources: Iterator[_Source], seeds: list[np.random.SeedSequence], params: VacancyParams, side_px: int,
              realisations: int, first_id: int) -> FrameSet:
    frames, rows, missing, ids = [], [], [], []
    for index, (source, seed) in enumerate(zip(sources, seeds, strict=True)):
        for child in seed.spawn(realisations):
            frame, points, seen = scan_source(source, params.imaging, side_px, np.random.default_rng(child))
            rows.append(np.column_stack([np.full(len(points), len(frames)), points]))
            missing.append(source.missing[seen])
            frames.append(frame)
            ids.append(first_id + index)
    return FrameSet(np.stack(frames), np.concatenate(rows).astype(np.float32),
                    np.concatenate(missing).astype(np.int8), np.array(ids, np.int32), params.imaging.pixel_A)


def linear_set(params: VacancyParams, name: str, seed: int) -> FrameSet:
    """The set `name` ('train', 'val' or 'test_linear') by the linear imaging model.

    Each set draws from a stream of its own of `seed`, each specimen from a stream of its own within it.
    """
    sets = params.sets
    count, side, realisations, first = {
        "train": (sets.train_specimens, sets.frame_px, 1, 0),
        "val": (sets.val_specimens, sets.frame_px, 1, 100_000),
        "test_linear": (sets.test_specimens, sets.test_frame_px, sets.test_realisations, 200_000),
    }[name]
    root = np.random.SeedSequence([seed, SETS.index(name)])
    specimens, scans = root.spawn(2)
    sources = (_linear_source(params, side, np.random.default_rng(s)) for s in specimens.spawn(count))
    return _assemble(sources, scans.spawn(count), params, side, realisations, first)
