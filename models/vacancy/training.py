"""Training of the vacancy network: batches, loss, and the loop, for the float and the quantized networks alike.

The batches and the loss are numpy or a formula, so that any framework can train on the very same ones:

    for frames, targets, weights in batches(data, params, window=11, seed=seed, epoch=epoch): ...

The loss of a batch is  sum(w * f * bce) / sum(w)  over its decision pixels, with
bce = softplus(s) - y s  (s the score, a logit), f = |y - sigmoid(s)|^gamma (focal: Lin et al., ICCV 2017), w the
weights: 0 in the ring between the positive and the ignored radius, `positive_weight` on positive pixels, 1 elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwell.models.vacancy.dataset import FrameSet
from dwell.models.vacancy.params import TrainingParams

if TYPE_CHECKING:
    import torch

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def targets(
    data: FrameSet, params: TrainingParams, window: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets and weights (N, h, w) of the decision pixels of every frame; h = H - window + 1."""
    n, rows, columns = data.frames.shape
    radius = (window - 1) // 2
    nearest2 = np.full((n, rows, columns), np.inf, np.float32)
    reach = int(np.ceil(params.ignore_radius_A / data.pixel_A)) + 1
    for frame, y, x in data.vacancies:
        i0, j0 = max(int(y) - reach, 0), max(int(x) - reach, 0)
        i1, j1 = min(int(y) + reach + 2, rows), min(int(x) + reach + 2, columns)
        i, j = np.arange(i0, i1)[:, None], np.arange(j0, j1)[None, :]
        patch = nearest2[int(frame), i0:i1, j0:j1]
        np.minimum(patch, (i - y) ** 2 + (j - x) ** 2, out=patch, casting="same_kind")
    near = nearest2[:, radius : rows - radius, radius : columns - radius] * np.float32(data.pixel_A**2)
    target = (near <= params.positive_radius_A**2).astype(np.float32)
    weight = np.where(target > 0, params.positive_weight, near > params.ignore_radius_A**2).astype(np.float32)
    return target, weight


def batches(data: FrameSet, params: TrainingParams, *, window: int, seed: int, epoch: int) -> Iterator[Batch]:
    """One epoch of (frames (B, H, W), targets (B, h, w), weights (B, h, w)), float32.

    The order, and the flips (up-down and left-right, which leave a scan a scan), depend on `seed` and `epoch` only.
    """
    target, weight = targets(data, params, window)
    rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
    order = rng.permutation(len(data.frames))
    for start in range(0, len(order), params.frames_per_batch):
        pick = np.sort(order[start : start + params.frames_per_batch])
        parts = (data.frames[pick], target[pick], weight[pick])
        for axis in (1, 2):
            if rng.random() < 0.5:
                parts = tuple(np.flip(part, axis) for part in parts)  # type: ignore[assignment]
        yield tuple(np.ascontiguousarray(part) for part in parts)  # type: ignore[misc]


def loss(scores: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, gamma: float) -> torch.Tensor:
    """The weighted focal loss of the module's docstring; all of one shape."""
    from torch.nn import functional

    bce = functional.binary_cross_entropy_with_logits(scores, target, reduction="none")
    if gamma > 0:
        bce = bce * (target - scores.sigmoid()).abs() ** gamma
    return (weight * bce).sum() / weight.sum()


def fit(
    model: torch.nn.Module,
    data: FrameSet,
    params: TrainingParams,
    *,
    window: int,
    seed: int,
    epochs: int | None = None,
    learning_rate: float | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> list[float]:
    """Train a torch module (float, or a Brevitas one) in place; the mean loss of each epoch.

    The module maps (B, 1, H, W) to scores (B, 1, h, w). Adam with a one-cycle learning rate. The module's initial
    weights are the caller's: call `deterministic(seed)` before it is made to get the same result twice.
    """
    import torch

    count = params.epochs if epochs is None else epochs
    steps = -(-len(data.frames) // params.frames_per_batch)
    peak = params.learning_rate if learning_rate is None else learning_rate
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(
        trained, lr=peak, betas=(0.9, 0.98)
    )  # few steps: a short memory of their size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=count * steps, pct_start=0.2)
    history = []
    model.train()
    for epoch in range(count):
        total = 0.0
        for frames, target, weight in batches(data, params, window=window, seed=seed, epoch=epoch):
            optimizer.zero_grad(set_to_none=True)
            scores = model(torch.from_numpy(frames)[:, None])[:, 0]
            value = loss(scores, torch.from_numpy(target), torch.from_numpy(weight), params.focal_gamma)
            value.backward()
            optimizer.step()
            schedule.step()
            total += float(value.detach())
        history.append(total / steps)
        if progress is not None:
            progress((epoch + 1) / count, f"epoch {epoch + 1} of {count}, loss {history[-1]:.4f}")
    model.eval()
    return history


def fit_from_starts(
    make: Callable[[], torch.nn.Module],
    data: FrameSet,
    params: TrainingParams,
    *,
    window: int,
    seed: int,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[torch.nn.Module, list[float]]:
    """Make and train a module: a short run from each of `starts` initialisations, a long one from the best.

    Returns the module and the mean loss of each epoch of the long run. Seeds torch itself.
    """
    effort = params.starts * params.start_epochs + params.epochs
    done = 0

    def step(fraction: float, text: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done / effort, text)

    def started(start: int, fraction: float, text: str) -> None:
        step(fraction, f"start {start}, {text}")

    best: tuple[float, torch.nn.Module] | None = None
    for start in range(params.starts if params.starts > 1 else 0):
        deterministic(_start_seed(seed, start))
        module = make()
        history = fit(
            module,
            data,
            params,
            window=window,
            seed=seed,
            epochs=params.start_epochs,
            progress=partial(started, start + 1),
        )
        if best is None or history[-1] < best[0]:
            best = (history[-1], module)
    deterministic(_start_seed(seed, params.starts))
    module = make() if best is None else best[1]
    return module, fit(module, data, params, window=window, seed=seed, progress=step)


def _start_seed(seed: int, start: int) -> int:
    """Seeds of different projects' starts do not coincide."""
    return int(np.random.SeedSequence([seed, start]).generate_state(1)[0])


def deterministic(seed: int, threads: int = 1) -> None:
    """Seed torch and pin what its sums depend on: deterministic kernels, a fixed number of threads."""
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)


def score(model: torch.nn.Module, frames: NDArray[np.float32], *, chunk: int = 16) -> NDArray[np.float32]:
    """Scores (N, h, w) of a torch module on frames (N, H, W)."""
    import torch

    model.eval()
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(np.ascontiguousarray(frames[k : k + chunk]))[:, None])[:, 0].numpy()
            for k in range(0, len(frames), chunk)
        ]
    return np.concatenate(parts).astype(np.float32)
