"""What converting asks of options: the input's type and the back end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwell.errors import ConfigError, nearest
from dwell.hls.qmodel import FixedPoint
from dwell.sections import KEYS_OF_BACKENDS, ConvertSection

RTL = "rtl"
HLS4ML = "hls4ml"
FINN = "finn"
BACKENDS = (RTL, HLS4ML, FINN)


def parse_input_type(text: str | None) -> FixedPoint | None:
    """A type such as ``ufixed<8,0>``, or None. Raises `ConfigError` for anything else."""
    return None if text is None else FixedPoint.parse(text)


def check_backend(name: str) -> str:
    """The name of a back end that is there. Raises `ConfigError`."""
    if name not in BACKENDS:
        raise ConfigError(f"there is no back end '{name}'", hint=nearest(name, BACKENDS), place="--backend")
    return name


def check_keys(backend: str, args: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an option of `dwell convert` that another back end alone knows."""
    for key, owner in KEYS_OF_BACKENDS.items():
        default = ConvertSection.model_fields[key].default
        unasked = args.get(key) is None or str(args[key]) == str(default)
        if unasked or owner == backend or {owner, backend} == {RTL, HLS4ML}:
            continue
        option = f"--{key.replace('_', '-')}"
        raise ConfigError(
            f"{option} is for --backend {owner}, and --backend {backend} knows nothing of it",
            hint=f"leave {option} out",
            place=option,
        )
    if args.get("target_fps") is not None and args.get("folding") is not None:
        raise ConfigError(
            "--target-fps and --folding both decide the folds", hint="give one of them", place="--folding"
        )
