"""`--ptq` and `--calibrate` of `dwell convert`: a float Keras file, quantized before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwell.errors import ConfigError
from dwell.hls.backends import parse_input_type
from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.network import load_reference


def post_training(args: Mapping[str, Any], scratch: Path) -> tuple[Path, dict[str, Any]]:
    """The file to read, and what was done to it: nothing, without `ptq` in `args`.

    `args`: `model`, `ptq` (bits), `calibrate` (an npz file with `x`), `input_type`. Raises `ConfigError` for one
    option without the other, and what `quantize_file` raises.
    """
    path, bits, frames = Path(str(args["model"])), args.get("ptq"), args.get("calibrate")
    if bits is None and frames is None:
        return path, {}
    if bits is None or frames is None:
        raise ConfigError(
            "--ptq and --calibrate go together",
            hint="--ptq 8 --calibrate frames.npz, where frames.npz holds typical inputs as `x`",
            place="--ptq" if bits is None else "--calibrate",
        )
    arrays = load_reference(Path(str(frames)))
    if "x" not in arrays:
        raise ConfigError(f"{frames} holds no `x`", hint="np.savez(FILE, x=frames)", place=str(frames))
    kind = parse_input_type(None if args.get("input_type") is None else str(args["input_type"]))
    with hushed():
        from dwell.hls.frontends.keras_net.ptq import quantize_file

        made = quantize_file(path, arrays["x"], int(bits), scratch, kind)
    return made.path, dict(made.report)
