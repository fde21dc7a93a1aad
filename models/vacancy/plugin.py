"""The plug-in `vacancy`: what the stages, the quantization and the reports need to know of this model.

It has to open with the light packages alone (numpy and pydantic), since the core reads parameters through it:
what needs scipy or torch is imported by the methods that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwell.models import metric
from dwell.models.vacancy import network
from dwell.models.vacancy.network import Architecture
from dwell.models.vacancy.params import VacancyParams

if TYPE_CHECKING:
    import torch

    from dwell.models.vacancy.baselines import Tuned
    from dwell.models.vacancy.dataset import FrameSet
    from dwell.models.vacancy.training import Batch

Progress = Callable[[float, str], None]
_SECTIONS = {
    "data": ("specimen", "imaging", "sets"),
    "train": ("training",),
    "baseline": ("baseline",),
    "evaluate": (),
}


class VacancyModel:
    """Sulphur vacancies in MoS2, one decision a pixel. The entry point `vacancy` of `dwell.models`."""

    name = "vacancy"
    params = VacancyParams
    sets = ("train", "val", "test_linear", "test_prism")

    def stage_params(self, params: VacancyParams, stage: str) -> dict[str, Any]:
        """The part of the parameters that a stage depends on, as JSON; `read_params` reads it back."""
        return params.model_dump(mode="json", include=set(_SECTIONS[stage]))

    def read_params(self, tables: Mapping[str, Any]) -> VacancyParams:
        """Parameters from the JSON of `stage_params`, or of a whole `[model]` table; the rest are defaults."""
        return VacancyParams.model_validate(dict(tables))

    def architecture(self, params: VacancyParams) -> Architecture:
        """The network's layers."""
        return network.DEFAULT

    def build(self, params: VacancyParams) -> torch.nn.Sequential:
        """The float torch module, (B, 1, H, W) -> (B, 1, h, w), initialised from torch's seed."""
        return network.build(self.architecture(params))

    def load_data(self, directory: Path) -> dict[str, FrameSet]:
        """The sets of a `data` artifact by name: train, val, test_linear, test_prism."""
        from dwell.models.vacancy.dataset import FrameSet

        return {name: FrameSet.load(directory / f"{name}.npz") for name in self.sets}

    def make_set(self, params: VacancyParams, name: str, seed: int) -> FrameSet:
        """One of `sets`, drawn from the seed."""
        from dwell.models.vacancy.dataset import make_set

        return make_set(params, name, seed)

    def tune_baselines(
        self, data: Mapping[str, FrameSet], params: VacancyParams, log: Callable[[str], None]
    ) -> dict[str, Tuned]:
        """The classical detectors by name, learnt from the training set and tuned on the validation set."""
        from dwell.models.vacancy.baselines import all_baselines, tune

        window = self.architecture(params).window
        return {
            name: tune(one, data["val"], window=window, passes=params.baseline.passes, progress=log)
            for name, one in all_baselines(data["train"], params.baseline.rotations).items()
        }

    def deterministic(self, seed: int) -> None:
        """Seed torch and pin what its sums depend on; call it before a module is made."""
        from dwell.models.vacancy.training import deterministic

        deterministic(seed)

    def batches(self, data: FrameSet, params: VacancyParams, *, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch of training batches: frames (B, H, W), targets (B, h, w), weights (B, h, w), float32."""
        from dwell.models.vacancy import training

        window = self.architecture(params).window
        return training.batches(data, params.training, window=window, seed=seed, epoch=epoch)

    def fit(
        self,
        model: torch.nn.Module,
        data: FrameSet,
        params: VacancyParams,
        *,
        seed: int,
        epochs: int | None = None,
        learning_rate: float | None = None,
        progress: Progress | None = None,
    ) -> list[float]:
        """Train a torch module in place with the model's recipe; see `training.fit`."""
        from dwell.models.vacancy import training

        return training.fit(
            model,
            data,
            params.training,
            window=self.architecture(params).window,
            seed=seed,
            epochs=epochs,
            learning_rate=learning_rate,
            progress=progress,
        )

    def train(
        self, data: FrameSet, params: VacancyParams, *, seed: int, progress: Progress | None = None
    ) -> tuple[torch.nn.Module, list[float]]:
        """The trained float module and its losses; see `training.fit_from_starts`."""
        from dwell.models.vacancy import training

        return training.fit_from_starts(
            lambda: self.build(params),
            data,
            params.training,
            window=self.architecture(params).window,
            seed=seed,
            progress=progress,
        )

    def score(self, model: torch.nn.Module, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (N, h, w) of a torch module on frames (N, H, W)."""
        from dwell.models.vacancy import training

        return training.score(model, frames)

    def recall(self, scores: NDArray[np.float32], data: FrameSet, params: VacancyParams) -> float:
        """Recall of scores (N, h, w) on a set at one false alarm in 10,000 pixels; see `dwell.models.metric`."""
        window = self.architecture(params).window
        found = metric.decide(scores, data.vacancies, data.specimen, data.pixel_A, window=window)
        return float(np.mean(found.feature >= metric.threshold_at(found.clean, 1e-4)))

    def loss(
        self, scores: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, params: VacancyParams
    ) -> torch.Tensor:
        """The loss that `fit` minimises, of scores (B, h, w); see `training.loss`."""
        from dwell.models.vacancy import training

        return training.loss(scores, target, weight, params.training.focal_gamma)

    def focal_gamma(self, params: VacancyParams) -> float:
        """The exponent of the loss in `dwell.models.vacancy.training`."""
        return params.training.focal_gamma


MODEL = VacancyModel()
