"""Test vectors: the extremes of the types, random frames of many sizes, and the user's own file."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.hls.qmodel.nodes import Conv2D, Dense
from dwell.sim.dut import Dut
from dwell.sim.workload import Frame

Codes = npt.NDArray[np.int64]
Shape = tuple[int, ...]

EXTREME_WINDOWS = 10_000
"""Windows at the extremes of the input type in every full run."""


def default_frames(dut: Dut, windows: int, seed: int) -> tuple[list[Frame], int]:
    """Frames with at least `windows` decisions in all, and how many of those are at the extremes.

    Extremes are `EXTREME_WINDOWS` of them, or half of a small run. The rest is noise, smooth scans and
    sparse frames, in sizes from one window to the widest line; the order mixes them all. Same seed, same
    frames.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    extreme = min(EXTREME_WINDOWS, max(1, windows // 2))
    patterns = _extreme_patterns(dut, rng)
    frames, extremes = _fill(
        dut,
        extreme,
        _extreme_sizes(dut),
        patterns,
        at_least=len(patterns) if extreme == EXTREME_WINDOWS else 0,
    )
    more, _ = _fill(dut, windows - extremes, _sizes(dut), _ordinary_patterns(dut, rng))
    frames += more
    return [frames[i] for i in rng.permutation(len(frames))], extremes


@dataclass(frozen=True)
class Vectors:
    """A user's frames, and the real outputs (N, ...) that the file says belong to them, if it does."""

    path: Path
    frames: tuple[Frame, ...]
    outputs: npt.NDArray[np.float64] | None


def read_vectors(dut: Dut, path: Path, *, origin: str = "") -> Vectors:
    """The frames in `x` of an .npz file, cast by the model's own first cast, and `y` if it is there.

    For a stream `x` is (N, H, W) or (N, H, W, C), for samples (N, ...) of the model's input shape or flat.
    Raises `ConfigError` naming what is wrong: no file, no `x`, a wrong shape or dtype, a frame and pixel that
    is not a finite number.
    """
    arrays = _read_arrays(path)
    x = arrays["x"]
    shape = dut.model.tensors[dut.model.input].shape
    x = _stream_shape(dut, x, path, shape[-1]) if dut.streams else _sample_shape(x, path, shape)
    _check_finite(x, path)
    codes = dut.model.quantize(x)
    name = origin or path.name
    frames = tuple(Frame(one, f"{name} frame {i}") for i, one in enumerate(codes))
    return Vectors(path, frames, arrays.get("y"))


def check_reference(dut: Dut, given: Vectors) -> int:
    """Compare the golden model's real outputs with `y`; returns how many were compared, 0 without `y`.

    They must be equal, or within float32 rounding where the output's scale is not a power of two. Raises
    `ConfigError` for a `y` of another shape, `VerificationError` with the first value that differs.
    """
    if given.outputs is None:
        return 0
    model = dut.model
    codes = model.run_codes(np.stack([frame.codes for frame in given.frames]))
    real = model.to_real(model.output, codes)
    y = given.outputs
    if y.size != real.size or len(y) != len(real):
        raise ConfigError(
            f"'y' in {given.path} has shape {y.shape}; the outputs of its frames are {real.shape}",
            hint="leave y out, or give one value a decision",
            place=str(given.path),
        )
    y = y.reshape(real.shape)
    exact = math.frexp(model.tensors[model.output].scale)[0] == 0.5
    wrong = ~(y == real) if exact else ~np.isclose(y, real, rtol=1e-5, atol=1e-6 * float(np.abs(real).max()))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        first = {"frame": at[0], "place": list(at[1:]), "expected": float(y[at]), "got": float(real[at])}
        raise VerificationError(
            f"{int(wrong.sum())} of {y.size} outputs of the golden model differ from 'y' in {given.path}, "
            f"the first at frame {at[0]}, place {at[1:]}: expected {y[at]}, got {real[at]}",
            first_mismatch=first,
            hint="was y made by this very network, with its inputs quantized?",
            place=str(given.path),
        )
    return int(y.size)


def _read_arrays(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """`x` and, if it is there, `y`, as float64."""
    hint = "save it with numpy.savez(FILE, x=frames)"
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ConfigError(f"{path} is a .npy file, not an .npz archive", hint=hint, place=str(path))
        with loaded as archive:
            if "x" not in archive.files:
                found = ", ".join(archive.files) or "nothing"
                raise ConfigError(f"{path} has no array 'x'; it holds {found}", hint=hint, place=str(path))
            arrays = {name: archive[name] for name in ("x", "y") if name in archive.files}
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no vectors file {path}", hint="check the path", place=str(path)
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read as .npz: {error}", hint=hint, place=str(path)) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise ConfigError(
                f"'{name}' in {path} holds {array.dtype}, not real numbers",
                hint="frames are floats as the detector gives them, in the units of training",
                place=str(path),
            )
    if arrays["x"].ndim == 0 or len(arrays["x"]) == 0:
        raise ConfigError(f"'x' in {path} holds no frame", hint=hint, place=str(path))
    return {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}


def _stream_shape(dut: Dut, x: npt.NDArray[np.float64], path: Path, channels: int) -> npt.NDArray[np.float64]:
    if x.ndim == 3 and channels == 1:
        x = x[..., None]
    wanted = "(N, H, W)" if channels == 1 else f"(N, H, W, {channels})"
    if x.ndim != 4 or x.shape[3] != channels:
        raise ConfigError(
            f"'x' in {path} has shape {x.shape}; {dut.name} takes {wanted}",
            hint=f"one frame an entry, {channels} channel{'s' if channels > 1 else ''} last",
            place=str(path),
        )
    (kh, kw), (_, height, width, _) = dut.window, x.shape
    if height < kh or not kw <= width <= dut.max_width:
        raise ConfigError(
            f"frames in {path} are {height}×{width}; {dut.name} takes at least {kh} rows "
            f"and {kw} to {dut.max_width} columns",
            hint="crop the frames, or convert with a larger max_width",
            place=str(path),
        )
    return x


def _sample_shape(x: npt.NDArray[np.float64], path: Path, shape: Shape) -> npt.NDArray[np.float64]:
    size = int(np.prod(shape))
    if x.shape[1:] not in (shape, (size,)):
        raise ConfigError(
            f"'x' in {path} has shape {x.shape}; the model takes (N, {', '.join(map(str, shape))})",
            hint="one sample an entry",
            place=str(path),
        )
    return x.reshape(len(x), *shape)


def _check_finite(x: npt.NDArray[np.float64], path: Path) -> None:
    bad = ~np.isfinite(x)
    if not bad.any():
        return
    frame, *at = (int(i) for i in np.argwhere(bad)[0])
    where = f"pixel (row {at[0]}, column {at[1]})" if len(at) > 1 else f"value {at[0]}"
    raise ConfigError(
        f"frame {frame}, {where} of {path} is {x[(frame, *at)]}; {int(bad.sum())} values are not finite",
        hint="replace NaN and infinite pixels first",
        place=str(path),
    )


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
        if dut.streams:
            per_row = dut.decisions((dut.window[0], shape[1]))
            rows = max(1, -(-(windows - done) // per_row))
            shape = (min(shape[0], rows + dut.window[0] - 1), *shape[1:])
        frames.append(Frame(make(shape), name))
        done += dut.decisions(shape)
    return frames, done


def _extreme_sizes(dut: Dut) -> Iterator[Shape]:
    if not dut.streams:
        return cycle([dut.model.tensors[dut.model.input].shape])
    (kh, kw), channels = dut.window, dut.model.tensors[dut.model.input].shape[-1]
    widths = [kw, 2 * kw + 1, 3 * kw, dut.max_width]
    return cycle([(kh + 4, min(w, dut.max_width), channels) for w in widths])


def _sizes(dut: Dut) -> Iterator[Shape]:
    """Sizes for the bulk: mostly large, since only whole windows count, with the odd ones between."""
    if not dut.streams:
        return cycle([dut.model.tensors[dut.model.input].shape])
    (kh, kw), widest, channels = dut.window, dut.max_width, dut.model.tensors[dut.model.input].shape[-1]
    side = min(widest, 256)
    sizes = [(kh, kw), (kh + 7, widest), (128, 128), (kh, widest), (97, 61), (kh + 1, kw + 1), (side, side)]
    sizes += [(64, 64), (kh + 30, kw), (200, widest - 1), (side, side)]
    return cycle([(max(h, kh), min(max(w, kw), widest), channels) for h, w in sizes])


def _extreme_patterns(dut: Dut, rng: np.random.Generator) -> list[Pattern]:
    """Frames of nothing but the lowest and the highest code."""
    kind = dut.model.tensors[dut.model.input].type
    masks: list[tuple[str, Mask]] = [("all lowest", np.zeros_like), ("all highest", np.ones_like)]
    for period in (1, 2, 3):
        for phase in (0, 1):
            masks += _regular_masks(period, phase)
    masks += [(f"{share:.0%} highest", _random_mask(rng, share)) for share in (0.5, 0.05, 0.95)]
    masks += _matched_masks(dut)

    def pattern(name: str, mask: Mask) -> Pattern:
        return name, lambda shape: np.where(mask(np.zeros(shape, dtype=bool)), kind.hi, kind.lo).astype(
            np.int64
        )

    return [pattern(name, mask) for name, mask in masks]


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
    kind = dut.model.tensors[dut.model.input].type
    span = kind.hi - kind.lo

    def clip(values: npt.NDArray[np.float64]) -> Codes:
        return np.clip(np.rint(kind.lo + span * values), kind.lo, kind.hi).astype(np.int64)

    def noise(shape: Shape) -> Codes:
        return rng.integers(kind.lo, kind.hi, shape, dtype=np.int64, endpoint=True)

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
