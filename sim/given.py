"""A user's own vectors: inputs from an .npz file, and what the file says belongs to them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.hls.qmodel import TopK, quantize_input, run_codes
from dwell.sim.dut import Dut, Shape
from dwell.sim.workload import Frame

Reals = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Vectors:
    """A user's frames, from the array `name` of the file `path`, and what belongs to them, if it says so.

    `outputs` are real outputs (N, ...), `labels` the classes (N,) that somebody gave the frames.
    """

    path: Path
    name: str
    frames: tuple[Frame, ...]
    outputs: Reals | None = None
    labels: npt.NDArray[np.int64] | None = None


def read_vectors(dut: Dut, path: Path, *, origin: str = "") -> Vectors:
    """The frames in `x` of an .npz file, cast by the model's own first cast, and `y` if it is there.

    Where frames are of any size, `x` is (N, H, W) or (N, H, W, C); else (N, ...) of the model's input shape,
    with or without axes of length 1, or flat. A file without `x` may hold one array of the right shape whose
    name begins with it. An integer `y` of one number a frame gives classes, where the output is a class or
    one number for each class. Raises `ConfigError` naming what is wrong: no file, no `x`, a wrong shape or
    dtype, a frame and pixel that is not a finite number.
    """
    arrays = _read_arrays(path)
    name = _choose(dut, arrays, path)
    x = _real(arrays[name], name, path)
    x = _any_shape(dut, x, path) if dut.any_size else _fixed_shape(dut, x, path)
    _check_finite(x, path)
    codes = quantize_input(dut.model, x)
    said = origin or path.name
    frames = tuple(Frame(one, f"{said} frame {i}") for i, one in enumerate(codes))
    if "y" not in arrays:
        return Vectors(path, name, frames)
    y = arrays["y"]
    if y.dtype.kind in "iu" and y.size == len(frames) and _has_classes(dut):
        return Vectors(path, name, frames, labels=y.reshape(-1).astype(np.int64))
    return Vectors(path, name, frames, outputs=_real(y, "y", path))


def check_reference(dut: Dut, given: Vectors) -> Mapping[str, object]:
    """Compare the golden model's real outputs with `y`, or count its classes that are those of the labels.

    Outputs must be equal, or within float32 rounding where the output's scale is no power of two. Labels say
    how good a network is, not what it gives: they may differ. Returns what was found, for the record.
    Raises `ConfigError` for a `y` of another shape, `VerificationError` with the first value that differs.
    """
    if given.outputs is None and given.labels is None:
        return {}
    model = dut.model
    codes = run_codes(model, np.stack([frame.codes for frame in given.frames]))
    if given.labels is not None:
        classes = codes.reshape(len(codes), -1)
        classes = classes[:, 0] if _is_class(dut) else np.argmax(classes, axis=1)
        return {"labels": len(classes), "labels_equal": int((classes == given.labels).sum())}
    assert given.outputs is not None
    return {"reference_values": _check_outputs(dut, given, given.outputs, model.to_real(model.output, codes))}


def _check_outputs(dut: Dut, given: Vectors, y: Reals, real: Reals) -> int:
    if y.size != real.size or len(y) != len(real):
        raise ConfigError(
            f"'y' in {given.path} has shape {y.shape}; the outputs of its frames are {real.shape}",
            hint="leave y out, or give one value a decision",
            place=str(given.path),
        )
    y = y.reshape(real.shape)
    near = 1e-6 * float(np.abs(real).max())
    wrong = ~(y == real) if _exact(dut) else ~np.isclose(y, real, rtol=1e-5, atol=near)
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


def _exact(dut: Dut) -> bool:
    """Whether real outputs are codes times powers of two, which floats hold exactly."""
    tensor = dut.model.tensors[dut.model.output]
    scales = np.atleast_1d(np.asarray(tensor.scale, dtype=np.float64))
    return not np.any(tensor.offset) and all(math.frexp(scale)[0] == 0.5 for scale in scales)


def _is_class(dut: Dut) -> bool:
    return isinstance(dut.model.maker(dut.model.output), TopK) and math.prod(dut.output.shape) == 1


def _has_classes(dut: Dut) -> bool:
    return _is_class(dut) or (not dut.any_size and math.prod(dut.output.shape) > 1)


def _read_arrays(path: Path) -> Arrays:
    hint = "save it with numpy.savez(FILE, x=frames)"
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ConfigError(f"{path} is a .npy file, not an .npz archive", hint=hint, place=str(path))
        with loaded as archive:
            return {name: archive[name] for name in archive.files if name == "y" or name.startswith("x")}
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no vectors file {path}", hint="check the path", place=str(path)
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read as .npz: {error}", hint=hint, place=str(path)) from error


def _choose(dut: Dut, arrays: Arrays, path: Path) -> str:
    """The name of the array that holds the inputs."""
    if "x" in arrays:
        return "x"
    names = [name for name in arrays if name != "y"]
    fitting = [name for name in names if arrays[name].shape[1:] in _shapes(dut.input.shape)]
    if len(fitting) == 1 and not dut.any_size:
        return fitting[0]
    found = ", ".join(f"{name} {arrays[name].shape}" for name in arrays) or "none that begins with it"
    raise ConfigError(
        f"{path} has no array 'x'; it holds {found}",
        hint="save it with numpy.savez(FILE, x=frames)",
        place=str(path),
    )


def _real(array: npt.NDArray[np.generic], name: str, path: Path) -> Reals:
    if array.dtype.kind not in "fiu":
        raise ConfigError(
            f"'{name}' in {path} holds {array.dtype}, not real numbers",
            hint="frames are floats as the detector gives them, in the units of training",
            place=str(path),
        )
    if name != "y" and (array.ndim == 0 or len(array) == 0):
        raise ConfigError(
            f"'{name}' in {path} holds no frame", hint="one frame or sample an entry", place=str(path)
        )
    return np.asarray(array, dtype=np.float64)


def _any_shape(dut: Dut, x: Reals, path: Path) -> Reals:
    channels = dut.input.shape[-1]
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


def _shapes(shape: Shape) -> tuple[Shape, ...]:
    """The forms that a sample of that shape may have in a file."""
    return shape, (math.prod(shape),), tuple(n for n in shape if n != 1)


def _fixed_shape(dut: Dut, x: Reals, path: Path) -> Reals:
    shape = dut.input.shape
    if x.shape[1:] not in _shapes(shape):
        raise ConfigError(
            f"'x' in {path} has shape {x.shape}; {dut.name} takes (N, {', '.join(map(str, shape))})",
            hint="one frame or sample an entry",
            place=str(path),
        )
    return x.reshape(len(x), *shape)


def _check_finite(x: Reals, path: Path) -> None:
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
