"""Data sets of simulated scans: drawn from a seed, split by specimen, kept as npz.

A set's file holds `frames` float32 (N, H, W) in [0, 1), multiples of 1/256; `vacancies` float32 (M, 3) rows
(frame, y_px, x_px); `missing` int8 (M,) sulphur atoms missing there (1 or 2); `specimen` int32 (N,); `pixel_A`.
For those who learn templates: `rotation_rad` float32 (N,) of the lattice, and `intact` float32 (K, 3), rows as in
`vacancies`, of the S2 columns that are whole (none in the PRISM set, which is only ever tested on).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError
from dwell.models.vacancy import prism
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
    rotation_rad: NDArray[np.float32]
    intact: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write as npz."""
        np.savez_compressed(
            path,
            frames=self.frames,
            vacancies=self.vacancies,
            missing=self.missing,
            specimen=self.specimen,
            pixel_A=np.float32(self.pixel_A),
            rotation_rad=self.rotation_rad,
            intact=self.intact,
        )

    @classmethod
    def load(cls, path: Path) -> FrameSet:
        """Read and check. Raises `ConfigError` for a missing file, missing arrays, wrong shapes, or NaN pixels."""
        if not path.is_file():
            raise ConfigError(f"no data set at {path}", hint="build the stage 'data' first", place=str(path))
        with np.load(path) as file:
            wanted = ("frames", "vacancies", "specimen", "pixel_A")
            lacking = [name for name in wanted if name not in file]
            if lacking:
                raise ConfigError(
                    f"{path.name} lacks {', '.join(lacking)}",
                    place=str(path),
                    hint=f"a data set holds {', '.join(wanted)}",
                )
            frames = check_frames(file["frames"], place=str(path))
            vacancies = file["vacancies"].astype(np.float32).reshape(-1, 3)
            missing = file["missing"] if "missing" in file else np.ones(len(vacancies), np.int8)
            specimen, pixel = file["specimen"].astype(np.int32), float(file["pixel_A"])
            rotation = file["rotation_rad"] if "rotation_rad" in file else np.zeros(len(frames), np.float32)
            intact = file["intact"] if "intact" in file else np.zeros((0, 3), np.float32)
        if specimen.shape != (len(frames),):
            raise ConfigError(
                f"specimen has shape {specimen.shape} for {len(frames)} frames", place=str(path)
            )
        return cls(frames, vacancies, missing.astype(np.int8), specimen, pixel, rotation, intact)


def check_frames(frames: NDArray[np.generic], *, place: str = "") -> NDArray[np.float32]:
    """Frames (N, H, W) as float32. Raises `ConfigError` naming the frame and pixel of the first NaN or infinity,
    or the shape when it is not three-dimensional."""
    if frames.ndim != 3 or frames.size == 0:
        raise ConfigError(
            f"frames have shape {frames.shape}; (frames, rows, columns) is wanted",
            place=place,
            hint="give at least one frame, one channel",
        )
    if frames.dtype.kind not in "fiu":
        raise ConfigError(f"frames hold {frames.dtype}; real numbers are wanted", place=place)
    out = frames.astype(np.float32)
    bad = ~np.isfinite(out)
    if bad.any():
        frame, row, column = (int(v) for v in np.argwhere(bad)[0])
        value = out[frame, row, column]
        raise ConfigError(
            f"frame {frame} has {value} at pixel ({row}, {column}); {int(bad.sum())} such pixels in all",
            hint="mask or interpolate bad detector pixels before handing the frames over",
            place=place,
        )
    return out


@dataclass(frozen=True)
class Source:
    """A specimen ready to be scanned: its noise-free signal on any scan, its vacancies, its beam current."""

    signal: Callable[[Scan], FloatArray]
    vacancies_A: FloatArray
    missing: NDArray[np.int64]
    intact_A: FloatArray
    rotation_rad: float
    beam: float


def draw_beam(imaging: ImagingParams, rng: np.random.Generator) -> float:
    """Beam current of a specimen's session over its nominal value."""
    return float(1 + rng.uniform(-imaging.dose_spread, imaging.dose_spread))


def _linear_source(params: VacancyParams, side_px: int, rng: np.random.Generator) -> Source:
    imaging = params.imaging
    specimen = draw_specimen(
        params.specimen, side_px * imaging.pixel_A * (1 + imaging.pixel_spread) + MARGIN_A, rng
    )
    probe = probe_at(imaging, rng.uniform(*imaging.probe_fwhm_A), rng.uniform(*imaging.defocus_A))
    exponent = float(rng.uniform(*imaging.z_exponent))
    return Source(
        lambda scan: linear_signal(specimen, probe, scan, imaging, exponent),
        specimen.vacancies,
        specimen.missing,
        specimen.intact,
        specimen.rotation_rad,
        draw_beam(imaging, rng),
    )


def _assemble(
    sources: Iterable[Source],
    seeds: list[np.random.SeedSequence],
    params: VacancyParams,
    first_id: int,
    scans: int = 1,
) -> FrameSet:
    """Scan each source `scans` times, each with drift, jitter, contamination and noise of its own."""
    side, imaging = params.sets.frame_px, params.imaging
    frames: list[NDArray[np.float32]] = []
    vacancies: list[FloatArray] = []
    missing: list[NDArray[np.integer]] = []
    intact: list[FloatArray] = []
    ids: list[int] = []
    rotation: list[float] = []
    for index, (source, seed) in enumerate(zip(sources, seeds, strict=True)):
        for child in seed.spawn(scans):
            rng = np.random.default_rng(child)
            scan = draw_scan(imaging, side, rng)
            signal = np.maximum(source.signal(scan), 0.0) + contamination(imaging, scan, rng)
            points, seen = _within(scan, source.vacancies_A)
            vacancies.append(np.column_stack([np.full(len(points), len(frames)), points]))
            missing.append(source.missing[seen])
            whole, _ = _within(scan, source.intact_A)
            intact.append(np.column_stack([np.full(len(whole), len(frames)), whole]))
            frames.append(detect(signal, source.beam, imaging, rng))
            ids.append(first_id + index)
            rotation.append(source.rotation_rad)
    return FrameSet(
        np.stack(frames),
        np.concatenate(vacancies).astype(np.float32),
        np.concatenate(missing).astype(np.int8),
        np.array(ids, np.int32),
        imaging.pixel_A,
        np.array(rotation, np.float32),
        np.concatenate(intact).astype(np.float32),
    )


def _within(scan: Scan, points_A: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Points (n, 2) in Å as pixels, those on the frame only, and which they were."""
    points = scan.pixels_of(points_A)
    seen = np.all((points >= -0.5) & (points < np.array(scan.shape) - 0.5), axis=1)
    return points[seen], seen


def linear_set(params: VacancyParams, name: str, seed: int) -> FrameSet:
    """The set `name` ('train', 'val' or 'test_linear') by the linear imaging model.

    Each set draws from a stream of its own of `seed`, each specimen from a stream of its own within it.
    """
    sets, side = params.sets, params.sets.frame_px
    count, first = {
        "train": (sets.train_specimens, 0),
        "val": (sets.val_specimens, 100_000),
        "test_linear": (sets.test_specimens, 200_000),
    }[name]
    if name == "train":
        richer = params.specimen.model_copy(update={"vacancy_fraction": sets.train_vacancy_fraction})
        params = params.model_copy(update={"specimen": richer})
    root = np.random.SeedSequence([seed, SETS.index(name)])
    specimens, scans = root.spawn(2)
    sources = (_linear_source(params, side, np.random.default_rng(s)) for s in specimens.spawn(count))
    return _assemble(sources, scans.spawn(count), params, first)


def prism_set(params: VacancyParams, seed: int) -> FrameSet:
    """The set 'test_prism': the package's PRISM images, each scanned `prism_scans` times by the same noise code."""
    root = np.random.SeedSequence([seed, SETS.index("test_prism")])
    sources, scans = root.spawn(2)
    images = prism.load()
    count = params.sets.prism_specimens
    chosen = (
        _prism_source(images, k, params, np.random.default_rng(s)) for k, s in enumerate(sources.spawn(count))
    )
    return _assemble(chosen, scans.spawn(count), params, 300_000, params.sets.prism_scans)


def _prism_source(
    images: prism.PrismImages, index: int, params: VacancyParams, rng: np.random.Generator
) -> Source:
    fwhm = float(rng.uniform(*params.imaging.probe_fwhm_A))
    points, missing = images.vacancies_of(index)
    return Source(
        images.signal(index, fwhm),
        points,
        missing,
        np.zeros((0, 2)),
        float(images.condition[index, 0]),
        draw_beam(params.imaging, rng),
    )


def make_set(params: VacancyParams, name: str, seed: int) -> FrameSet:
    """Any of `SETS`."""
    return prism_set(params, seed) if name == "test_prism" else linear_set(params, name, seed)
