"""Made-up test vectors: the extremes of the types, and random frames of many sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import Conv2D, Dense, value_range
from dwell.sim.dut import Dut, Shape
from dwell.sim.workload import Frame

Codes = npt.NDArray[np.int64]

EXTREME_WINDOWS = 10_000
"""Windows at the extremes of the input type in every full run."""

MOST_CODES = 1 << 24
MOST_CLOCKS = 1 << 24
"""Input codes and clocks of made-up frames of one size, at most; fewer windows are made then."""

LEAST_FRAMES = 8
"""Made-up frames of one size, at least, however large each is."""


def default_frames(dut: Dut, windows: int, seed: int) -> tuple[list[Frame], int]:
    """Frames with at least `windows` decisions in all, and how many of those are at the extremes.

    Extremes are `EXTREME_WINDOWS` of them, or half of a small run. The rest is noise, smooth scans and
    sparse frames; frames of any size come from one window to the widest line. The order mixes them all.
    Same seed, same frames.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    windows = int(min(windows, _most_windows(dut)))
    extreme = min(EXTREME_WINDOWS, max(1, windows // 2))
    patterns = _extreme_patterns(dut, rng)
    all_of_them = len(patterns) if dut.any_size and extreme == EXTREME_WINDOWS else 0
    least = 0 if dut.any_size else LEAST_FRAMES // 2
    frames, extremes = _fill(dut, extreme, _extreme_sizes(dut), patterns, at_least=max(all_of_them, least))
    more, _ = _fill(dut, windows - extremes, _sizes(dut), _ordinary_patterns(dut, rng), at_least=least)
    frames += more
    return [frames[i] for i in rng.permutation(len(frames))], extremes


def _most_windows(dut: Dut) -> float:
    if dut.any_size:
        return math.inf
    shape = dut.input.shape
    frames = min(MOST_CODES // math.prod(shape), MOST_CLOCKS // dut.frame_clocks(shape))
    return max(LEAST_FRAMES, frames) * dut.decisions(shape)


Pattern = tuple[str, Callable[[Shape], Codes]]
Bits = npt.NDArray[np.bool_]
Mask = Callable[[Bits], Bits]
"""From a blank frame to the pixels that are at the highest code."""


def _fill(
    dut: Dut, windows: int, sizes: Iterator[Shape], patterns: Sequence[Pattern], *, at_least: int = 0
) -> tuple[list[Frame], int]:
    """Frames of `patterns` in turn until there are `windows` decisions and `at_least` frames.

    Frames are cut so that not many more decisions come than asked for.
    """
    frames: list[Frame] = []
    done = 0
    while done < windows or len(frames) < at_least:
        shape = next(sizes)
        name, make = patterns[len(frames) % len(patterns)]
        if dut.any_size:
            per_row = dut.decisions((dut.window[0], shape[1]))
            rows = max(1, -(-(windows - done) // per_row))
            shape = (min(shape[0], rows + dut.window[0] - 1), *shape[1:])
        frames.append(Frame(make(shape), name))
        done += dut.decisions(shape)
    return frames, done


def _extreme_sizes(dut: Dut) -> Iterator[Shape]:
    if not dut.any_size:
        return cycle([dut.input.shape])
    (kh, kw), channels = dut.window, dut.input.shape[-1]
    widths = [kw, 2 * kw + 1, 3 * kw, dut.max_width]
    return cycle([(kh + 4, min(w, dut.max_width), channels) for w in widths])


def _sizes(dut: Dut) -> Iterator[Shape]:
    """Sizes for the bulk: mostly large, since only whole windows count, with the odd ones between."""
    if not dut.any_size:
        return cycle([dut.input.shape])
    (kh, kw), widest, channels = dut.window, dut.max_width, dut.input.shape[-1]
    side = min(widest, 256)
    sizes = [(kh, kw), (kh + 7, widest), (128, 128), (kh, widest), (97, 61), (kh + 1, kw + 1), (side, side)]
    sizes += [(64, 64), (kh + 30, kw), (200, widest - 1), (side, side)]
    return cycle([(max(h, kh), min(max(w, kw), widest), channels) for h, w in sizes])


def _extreme_patterns(dut: Dut, rng: np.random.Generator) -> list[Pattern]:
    """Frames of nothing but the lowest and the highest code."""
    lowest, highest = _limits(dut)
    masks: list[tuple[str, Mask]] = [("all lowest", np.zeros_like), ("all highest", np.ones_like)]
    for period in (1, 2, 3):
        for phase in (0, 1):
            masks += _regular_masks(period, phase)
    masks += [(f"{share:.0%} highest", _random_mask(rng, share)) for share in (0.5, 0.05, 0.95)]
    masks += _matched_masks(dut)

    def pattern(name: str, mask: Mask) -> Pattern:
        return name, lambda shape: np.where(mask(np.zeros(shape, dtype=bool)), highest, lowest).astype(
            np.int64
        )

    return [pattern(name, mask) for name, mask in masks]


def _limits(dut: Dut) -> tuple[int, int]:
    """Lowest and highest code that the model's first cast can give."""
    lows, highs = value_range(dut.model, dut.model.input)
    return int(lows.min()), int(highs.max())


def _regular_masks(period: int, phase: int) -> list[tuple[str, Mask]]:
    """Checkerboard, columns and rows of `period` pixels."""

    def checkerboard(blank: Bits) -> Bits:
        return np.asarray((_row(blank) // period + _column(blank) // period) % 2 == phase)

    def columns(blank: Bits) -> Bits:
        return np.asarray(_column(blank) // period % 2 == phase)

    def rows(blank: Bits) -> Bits:
        return np.asarray(_row(blank) // period % 2 == phase)

    masks = {"checkerboard": checkerboard, "columns": columns, "rows": rows}
    return [(f"{name} of {period}", mask) for name, mask in masks.items()]


def _row(blank: Bits) -> Codes:
    return np.asarray(np.indices(blank.shape)[0], dtype=np.int64)


def _column(blank: Bits) -> Codes:
    if blank.ndim == 1:
        return np.zeros(blank.shape, dtype=np.int64)
    return np.asarray(np.indices(blank.shape)[1], dtype=np.int64)


def _random_mask(rng: np.random.Generator, share: float) -> Mask:
    return lambda blank: rng.random(blank.shape) < share


def _matched_masks(dut: Dut) -> list[tuple[str, Mask]]:
    """The signs of the first layer's weights, repeated: its accumulators reach their limits."""
    first = next((n for n in dut.model.nodes if isinstance(n, Conv2D | Dense)), None)
    if first is None:
        return []
    return [
        (f"signs of {first.name} filter {channel}", _tiled((first.weight[..., channel] > 0) == polarity))
        for channel in range(first.weight.shape[-1])
        for polarity in (True, False)
    ]


def _tiled(tile: Bits) -> Mask:
    def mask(blank: Bits) -> Bits:
        if tile.ndim != blank.ndim:
            return np.resize(tile, blank.shape)
        repeats = [-(-n // t) for n, t in zip(blank.shape, tile.shape, strict=True)]
        return np.tile(tile, repeats)[tuple(slice(n) for n in blank.shape)]

    return mask


def _ordinary_patterns(dut: Dut, rng: np.random.Generator) -> list[Pattern]:
    lowest, highest = _limits(dut)
    span = highest - lowest

    def clip(values: npt.NDArray[np.float64]) -> Codes:
        return np.clip(np.rint(lowest + span * values), lowest, highest).astype(np.int64)

    def noise(shape: Shape) -> Codes:
        return rng.integers(lowest, highest, shape, dtype=np.int64, endpoint=True)

    def smooth(shape: Shape) -> Codes:
        """Blobs on a lattice with shot noise, much as a scan looks."""
        y, x = np.indices(shape)[:2] if len(shape) > 1 else (np.zeros(shape), np.arange(shape[0]))
        period = rng.uniform(3, 9)
        lattice = (np.cos(2 * np.pi * x / period) + np.cos(2 * np.pi * y / period + x / 5)) / 4 + 0.5
        level = lattice * rng.uniform(0.2, 1.0)
        return clip(rng.poisson(60 * level) / 60.0)

    def sparse(shape: Shape) -> Codes:
        return np.where(rng.random(shape) < 0.02, noise(shape), clip(np.zeros(shape))).astype(np.int64)

    def narrow(shape: Shape) -> Codes:
        """Small steps around one level, where the rounding of casts decides."""
        return clip(np.full(shape, rng.random()) + rng.normal(0, 0.03, shape))

    return [("noise", noise), ("scan", smooth), ("noise", noise), ("sparse", sparse), ("narrow", narrow)]


def ordinary_frames(dut: Dut, shapes: Sequence[Shape], rng: np.random.Generator) -> list[Frame]:
    """One frame of each shape, ordinary patterns and extremes in turn."""
    patterns = []
    for extreme, ordinary in zip(
        _extreme_patterns(dut, rng), cycle(_ordinary_patterns(dut, rng)), strict=False
    ):
        patterns += [ordinary, extreme]
    return [Frame(make(shape), name) for shape, (name, make) in zip(shapes, cycle(patterns), strict=False)]
