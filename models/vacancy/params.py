"""Parameters of the vacancy detector: specimen, imaging, data sets, training, baselines.

Everything that may change a result is here, with its unit in its name. Ranges are drawn once per simulated
specimen (or once per frame where said so), uniformly unless said otherwise.

Sources
-------
- Lattice: Bronsema, de Boer, Jellinek, *Z. anorg. allg. Chem.* 540 (1986) 15: a = 3.160 Å, S-S height 3.17 Å.
- Z contrast: Krivanek et al., *Nature* 464 (2010) 571: intensity ~ Z^1.64 in annular dark field of monolayers.
- Vacancy concentrations and the rarity of double vacancies: Zhou et al., *Nano Lett.* 13 (2013) 2615;
  Hong et al., *Nat. Commun.* 6 (2015) 6293 (about 1 % as made); Komsa et al., *Phys. Rev. Lett.* 109 (2012)
  035503 and Parkin et al., *ACS Nano* 10 (2016) 4134 (up to tens of per cent under the beam).
- Ripples of free monolayers, hence local tilt of some degrees: Brivio, Alexander, Kis, *Nano Lett.* 11 (2011) 5148.
- Drift and scan-line jitter: Jones, Nellist, *Microsc. Microanal.* 19 (2013) 1050.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"a range is (low, high); got {pair[0]} > {pair[1]}")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""A (low, high) pair from which a value is drawn uniformly."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpecimenParams(_Section):
    """The monolayer: lattice, vacancies, tilt."""

    lattice_a_A: float = Field(3.160, gt=2.0, lt=5.0)
    sulphur_height_A: float = Field(1.585, gt=0.0, lt=3.0)  # of each S above or below the Mo plane
    vacancy_fraction: Range = (0.03, 0.10)  # of S2 columns, beam-damaged
    double_vacancy_share: float = Field(0.05, ge=0.0, le=1.0)  # of the vacancies, both S atoms missing
    tilt_mrad: Range = (0.0, 120.0)  # magnitude of the local tilt; its direction is uniform


class ImagingParams(_Section):
    """The microscope: probe, scan, dose, contamination, detector."""

    pixel_A: float = Field(0.4, gt=0.05, lt=2.0)  # nominal, and what the network assumes
    pixel_spread: float = Field(0.03, ge=0.0, lt=0.2)  # calibration error, +- uniform, relative
    probe_fwhm_A: Range = (0.95, 1.35)  # in focus, source size included
    tail_share: float = Field(0.20, ge=0.0, lt=1.0)  # part of the intensity in the probe's wide tail
    tail_ratio: float = Field(2.2, gt=1.0)  # width of the tail over that of the core
    defocus_A: Range = (-40.0, 40.0)
    convergence_mrad: float = Field(30.0, gt=0.0)
    z_exponent: Range = (1.3, 1.8)  # fits to PRISM images give 1.25 (S2 aligned) to 1.8 (tilted)
    mo_fraction: float = Field(0.0126, gt=0.0, lt=1.0)  # of the beam that reaches the detector, probe on Mo
    dose_e_per_A2: float = Field(40000.0, gt=0.0)
    dose_spread: float = Field(0.2, ge=0.0, lt=1.0)  # beam current, +- uniform, relative, per specimen
    drift_A_per_frame: Range = (0.0, 2.5)  # magnitude; direction uniform
    jitter_sigma_A: Range = (0.0, 0.25)  # horizontal displacement of each scan line, r.m.s.
    jitter_correlation: float = Field(0.5, ge=0.0, lt=1.0)  # from one line to the next (AR(1))
    contamination: Range = (0.0, 1.5)  # peak of the smooth background, in units of an Mo peak
    contamination_length_A: Range = (5.0, 20.0)  # its correlation length
    detector_white: float = Field(2.6, gt=0.0)  # signal that fills the ADC, in units of a nominal Mo peak


class SetsParams(_Section):
    """Sizes of the data sets, in simulated specimens; no specimen is in two sets."""

    frame_px: int = Field(60, ge=24, le=60)  # side of every frame; the PRISM images hold no larger one
    train_specimens: int = Field(3000, ge=2)
    train_vacancy_fraction: Range = (0.05, 0.20)  # more than in the other sets, to learn more from a frame
    val_specimens: int = Field(240, ge=2)
    test_specimens: int = Field(600, ge=2)
    prism_specimens: int = Field(72, ge=2, le=72)  # of those kept with the package
    prism_scans: int = Field(8, ge=1)  # noisy scans of each of them


class TrainingParams(_Section):
    """Training of the float network, and of the quantized ones where they share the recipe.

    Only the pixels next to a vacancy are positive, and they weigh no more than others: the score is then the
    log odds of "a vacancy here", comparable between sharp and blurred, clean and dirty scans, which is what one
    threshold for all of them needs. Wider targets, heavier positives or a focal exponent cost recall at low
    false-alarm rates.
    """

    starts: int = Field(4, ge=1)  # random initialisations tried; so small a network depends on its own
    start_epochs: int = Field(1, ge=1)  # for each; the one with the lowest loss is trained on
    epochs: int = Field(12, ge=1)
    frames_per_batch: int = Field(2, ge=1)
    learning_rate: float = Field(4e-3, gt=0.0)  # the peak of a one-cycle schedule
    positive_weight: float = Field(1.0, gt=0.0)
    focal_gamma: float = Field(0.0, ge=0.0)
    positive_radius_A: float = Field(0.4, gt=0.0)
    ignore_radius_A: float = Field(1.0, gt=0.0)  # from there on a firing pixel is a false alarm

    @model_validator(mode="after")
    def _rings(self) -> Self:
        if self.ignore_radius_A < self.positive_radius_A:
            raise ValueError("ignore_radius_A must not be smaller than positive_radius_A")
        return self


class BaselineParams(_Section):
    """Tuning of the classical baselines."""

    rotations: int = Field(24, ge=1)  # templates in the bank, over the lattice's 120 degrees
    passes: int = Field(2, ge=1)  # of the coordinate search over the grid


class VacancyParams(_Section):
    """The `[model]` table of a project whose model is `vacancy`, without its `name`."""

    specimen: SpecimenParams = SpecimenParams()
    imaging: ImagingParams = ImagingParams()
    sets: SetsParams = SetsParams()
    training: TrainingParams = TrainingParams()
    baseline: BaselineParams = BaselineParams()
