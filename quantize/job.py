"""What a front end gets and gives back, and the files that every front end leaves alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError, InternalError

if TYPE_CHECKING:
    import logging

    import pydantic
    import torch

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
INPUT_TYPE = "ufixed<8,0>"
INPUT_FRAC = 8


class FrameSet(Protocol):
    """Labelled frames; only `frames` (N, H, W), float32 in [0, 1), is looked at here."""

    @property
    def frames(self) -> Floats:
        """(N, H, W)"""


@dataclass(frozen=True)
class Layer:
    """One convolution: square `kernel`, stride 1, no padding, with bias; `relu` says whether one follows."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    relu: bool


class Model(Protocol):
    """What a front end needs of the model's plug-in (entry-point group `dwell.models`)."""

    def batches(
        self, data: Any, params: Any, *, seed: int, epoch: int
    ) -> Iterator[tuple[Floats, Floats, Floats]]:
        """One epoch of frames (B, H, W), targets and weights (B, h, w)."""

    def fit(
        self,
        model: torch.nn.Module,
        data: Any,
        params: Any,
        *,
        seed: int,
        epochs: int | None,
        learning_rate: float | None,
        progress: Callable[[float, str], None] | None,
    ) -> list[float]:
        """Train a torch module in place; the mean loss of each epoch."""

    def loss(
        self, scores: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, params: Any
    ) -> torch.Tensor:
        """The loss that `fit` minimises, of scores (B, h, w) on one batch."""

    def focal_gamma(self, params: Any) -> float:
        """The exponent of the model's focal loss; 0 is plain cross entropy."""


@dataclass(frozen=True)
class FloatLayer:
    """A layer's float weights (outputs, inputs, kernel, kernel) and biases (outputs,)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Job:
    """One quantization: the float network, the data, the keys of `[quantize]`, and where the files go.

    `weights` holds a `FloatLayer` for each of `layers` by name; `reference` is the frames (N, h, w) whose
    codes are to be kept; `seed` decides everything random.
    """

    model: Model
    model_params: Any
    layers: tuple[Layer, ...]
    weights: Mapping[str, FloatLayer]
    train: FrameSet
    reference: Floats
    params: pydantic.BaseModel
    seed: int
    out: Path
    log: logging.Logger
    progress: Callable[[float, str], None]

    def calibration_frames(self, count: int = 64) -> Floats:
        """(count, H, W): training frames spread evenly over the set, for finding ranges."""
        frames = self.train.frames
        spread = np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)
        return np.asarray(frames[np.unique(spread)], dtype=np.float32)


@dataclass(frozen=True)
class Quantizer:
    """A quantizer of the network: where it is in the model file, and its fixed-point type.

    A value is code * 2**-frac. `name` is the layer whose output it quantizes, or "input".
    """

    name: str
    tensor: str
    signed: bool
    width: int
    frac: int


@dataclass(frozen=True)
class Outcome:
    """What a front end gives back.

    `codes` (N, h, w, C) for every quantizer by name, and `output` (N, h, w, 1), are what the framework itself
    computed on the job's reference frames; `loss` is the mean of each epoch; `score` maps frames (N, H, W)
    to scores (N, h, w); `details` go to the manifest, `allocation` (how widths were found) to `frontend.json`.
    """

    quantizers: tuple[Quantizer, ...]
    codes: Mapping[str, Codes]
    output: Floats
    loss: tuple[float, ...]
    score: Callable[[Floats], Floats]
    details: Mapping[str, Any] = field(default_factory=dict)
    allocation: Mapping[str, Any] | None = None


def exact_codes(values: NDArray[np.floating[Any]], frac: int, *, what: str) -> Codes:
    """`values * 2**frac` as int32. Raises `InternalError` where that is not a whole number.

    Frameworks compute with floats; a sum that was rounded on the way would show here.
    """
    scaled = np.ldexp(values.astype(np.float64), frac)
    codes = np.rint(scaled)
    if not np.array_equal(codes, scaled) or (codes.size and np.abs(codes).max() >= 2**31):
        worst = float(np.abs(codes - scaled).max())
        raise InternalError(f"{what} is no multiple of 2**-{frac}: it is off by up to {worst:g} steps")
    return codes.astype(np.int32)


def check_loss(loss: list[float]) -> None:
    """Raises `ConfigError` where a training has diverged."""
    for epoch, value in enumerate(loss, 1):
        if not np.isfinite(value):
            raise ConfigError(
                f"the quantized network's training diverged: its loss is {value} in epoch {epoch}",
                hint="lower quantize.learning_rate, or give it more bits",
                place="quantize.learning_rate",
            )


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of installed distributions, those that are missing left out."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_reference(path: Path, frames: Floats, outcome: Outcome) -> None:
    """Write `reference.npz`: `x` (N, H, W, 1), `codes/<quantizer>` (N, h, w, C) and `y` (N, h, w, 1)."""
    arrays: dict[str, NDArray[Any]] = {"x": frames[..., None].astype(np.float32)}
    arrays |= {f"codes/{name}": codes.astype(np.int32) for name, codes in outcome.codes.items()}
    arrays["y"] = outcome.output.astype(np.float32)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def write_description(
    path: Path, frontend: str, file: str, packages: tuple[str, ...], outcome: Outcome
) -> None:
    """Write `frontend.json`: which front end, which file, the input's type and every quantizer."""
    description: dict[str, Any] = {
        "frontend": frontend,
        "file": file,
        "input_type": INPUT_TYPE,
        "quantizers": [asdict(q) for q in outcome.quantizers],
        "versions": versions(packages),
    }
    if outcome.allocation is not None:
        description["allocation"] = dict(outcome.allocation)
    path.write_text(json.dumps(description, indent=1) + "\n")
