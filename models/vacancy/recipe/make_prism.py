"""Make `prism_haadf.npz`: noise-free HAADF images of MoS2 with vacancies, by abTEM's PRISM multislice.

An offline tool. It needs abTEM (GPL-3.0-or-later), so it runs in an environment of its own (`envs/abtem.txt`) and
nothing in dwell imports it; dwell reads only the file it wrote:

    dwell env sync abtem
    PYTHONPATH=<folder in which `dwell` is importable> OMP_NUM_THREADS=1 \\
        .envs/abtem-*/bin/python models/vacancy/recipe/make_prism.py --work SCRATCH --out models/vacancy/prism_haadf.npz

10 to 17 s a specimen on one core. One file a specimen is left in SCRATCH, so that a stopped run goes on.

Method: Ophus, *Adv. Struct. Chem. Imaging* 3 (2017) 13 (PRISM); Madsen, Susi, *Open Res. Europe* 1 (2021) 24 (abTEM).
80 kV, 30 mrad, aberrations corrected up to the defocus, 60-180 mrad, Kirkland's potentials, static lattice, a point
source. Interpolation factor 4: against factor 2 the images correlate to 0.99998. Source size, dose, drift, jitter
and contamination are put on by dwell at build time.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import abtem
import ase
import numpy as np

from dwell.models.vacancy.params import ImagingParams, SpecimenParams
from dwell.models.vacancy.specimen import draw_specimen

BOX_A = 34.0
GPTS = 480
FIELD_A = 28.8
STEP_A = 0.3
ENERGY_EV = 80e3
INNER_MRAD, OUTER_MRAD = 60, 180
INTERPOLATION = 4
SLICE_A = 2.0


def image(seed: int, index: int) -> dict[str, np.ndarray]:
    """One specimen: `image` (n, n) float16, fraction of the beam on the detector, and what is in it."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    imaging = ImagingParams()
    specimen = draw_specimen(SpecimenParams(), BOX_A, rng)
    defocus = float(rng.uniform(*imaging.defocus_A))
    position = specimen.atoms + np.array([BOX_A / 2, BOX_A / 2, 0.0])
    inside = np.all((position[:, :2] >= 0) & (position[:, :2] < BOX_A), axis=1)
    position = position[inside]
    position[:, 2] += SLICE_A - position[:, 2].min()
    atoms = ase.Atoms(
        numbers=specimen.number[inside],
        positions=position[:, [1, 0, 2]],
        pbc=True,
        cell=[BOX_A, BOX_A, position[:, 2].max() + SLICE_A],
    )
    potential = abtem.Potential(
        atoms, gpts=GPTS, slice_thickness=SLICE_A, projection="infinite", parametrization="kirkland"
    )
    matrix = abtem.SMatrix(
        potential=potential,
        energy=ENERGY_EV,
        interpolation=INTERPOLATION,
        semiangle_cutoff=imaging.convergence_mrad,
    )
    edge = (BOX_A - FIELD_A) / 2
    scan = abtem.GridScan(
        start=(edge, edge), end=(edge + FIELD_A, edge + FIELD_A), sampling=STEP_A, endpoint=False
    )
    ctf = abtem.CTF(energy=ENERGY_EV, semiangle_cutoff=imaging.convergence_mrad, defocus=defocus)
    measured = matrix.scan(
        scan=scan, ctf=ctf, detectors=abtem.AnnularDetector(inner=INNER_MRAD, outer=OUTER_MRAD)
    )
    seen = np.abs(specimen.vacancies).max(axis=1) < BOX_A / 2
    return {
        "image": np.asarray(measured.array).T.astype(np.float16),  # abTEM's first axis is x
        "vacancies": specimen.vacancies[seen].astype(np.float32),
        "missing": specimen.missing[seen].astype(np.int8),
        "condition": np.array(
            [specimen.rotation_rad, specimen.tilt_mrad, specimen.tilt_azimuth_rad, defocus]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--specimens", type=int, default=72)
    parser.add_argument("--seed", type=int, default=20240611)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    abtem.config.set({"device": "cpu", "fft": "fftw", "dask.lazy": False})
    args.work.mkdir(parents=True, exist_ok=True)
    parts = []
    for index in range(args.specimens):
        path = args.work / f"{args.seed}_{index:03d}.npz"
        if not path.exists():
            start = time.monotonic()
            np.savez(path.with_suffix(".tmp.npz"), allow_pickle=False, **image(args.seed, index))
            path.with_suffix(".tmp.npz").rename(path)
            print(f"{index + 1}/{args.specimens}: {time.monotonic() - start:.1f} s", flush=True)
        parts.append(dict(np.load(path)))
    recipe = {
        "abtem": version("abtem"),
        "ase": version("ase"),
        "numpy": version("numpy"),
        "seed": args.seed,
        "energy_eV": ENERGY_EV,
        "inner_mrad": INNER_MRAD,
        "outer_mrad": OUTER_MRAD,
        "box_A": BOX_A,
        "gpts": GPTS,
        "interpolation": INTERPOLATION,
        "slice_A": SLICE_A,
        "specimen": SpecimenParams().model_dump(),
        "convergence_mrad": ImagingParams().convergence_mrad,
        "defocus_A": ImagingParams().defocus_A,
    }
    np.savez_compressed(
        args.out,
        image=np.stack([p["image"] for p in parts]),
        step_A=STEP_A,
        vacancies=np.concatenate(
            [np.column_stack([np.full(len(p["vacancies"]), i), p["vacancies"]]) for i, p in enumerate(parts)]
        ).astype(np.float32),
        missing=np.concatenate([p["missing"] for p in parts]),
        condition=np.stack([p["condition"] for p in parts]),
        recipe=np.array(json.dumps(recipe, sort_keys=True)),
    )


if __name__ == "__main__":
    main()
