"""The second door: Keras networks in .keras and .h5 files, of Keras 3 with HGQ2 and of Keras 2 with QKeras.

The layers are read one by one (`keras_net`), not through hls4ml's graph: that loses what decides a bit
(docs/adr/0021-keras-layer-by-layer.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy.typing as npt

from dwell.errors import ConfigError
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.keras_net import files
from dwell.hls.frontends.keras_net.load import load_keras
from dwell.hls.frontends.keras_net.values import Floats
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import FixedPoint


def read_keras(
    path: Path, *, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> Reading:
    """Read a .keras or .h5 file.

    `names` maps places, as ``<layer>.iq``, to what the source framework calls those quantizers. Raises
    `ConfigError` for a file that cannot be read, `UnsupportedLayerError` for what cannot be carried exactly.
    """
    if files.is_keras2(path) and not files.at_home():
        from dwell.hls.frontends.keras_net.process import read_outside

        found = read_outside(path, name=path.stem, input_type=input_type, names=names)
    else:
        model = load_keras(path)
        with hushed():
            from dwell.hls.frontends.keras_net.reader import read_model

            found = read_model(model, name=path.stem, input_type=input_type, names=names)
    unknown = sorted(place for place, name in (names or {}).items() if name not in found.model.watched)
    if unknown:
        hint = "frontend.json names the quantizers of another network"
        raise ConfigError(f"{path.name} has no quantizer {unknown[0]!r}", hint=hint, place=str(path))
    return found


def execute_keras(
    path: Path,
    frames: npt.ArrayLike,
    places: Sequence[str],
    orders: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Floats]:
    """What Keras computes at `places` (quantizers as ``<layer>.iq``), and the output under ``""``.

    `frames` is (N, …); everything comes back as float32, with a leading N. Keras' axes are those of the integer
    graph: `orders` is not looked at.
    """
    if files.is_keras2(path) and not files.at_home():
        from dwell.hls.frontends.keras_net.process import execute_outside

        return execute_outside(path, frames, places)
    model = load_keras(path)
    with hushed():
        from dwell.hls.frontends.keras_net.execute import execute_model

        return execute_model(model, frames, places)
