"""What converting asks of options: the input's type and the back end."""

from __future__ import annotations

from dwell.errors import ConfigError, NotBuiltYetError, nearest
from dwell.hls.qmodel import FixedPoint

RTL = "rtl"
HLS4ML = "hls4ml"
BACKENDS = (RTL, HLS4ML)
_LATER = ("finn",)


def parse_input_type(text: str | None) -> FixedPoint | None:
    """A type such as ``ufixed<8,0>``, or None. Raises `ConfigError` for anything else."""
    return None if text is None else FixedPoint.parse(text)


def check_backend(name: str) -> str:
    """The name of a back end that is there. Raises `NotBuiltYetError` or `ConfigError`."""
    if name in _LATER:
        hint = f"use --backend {RTL} or --backend {HLS4ML}"
        raise NotBuiltYetError(f"the back end '{name}' is not built yet", hint=hint, place="--backend")
    if name not in BACKENDS:
        raise ConfigError(f"there is no back end '{name}'", hint=nearest(name, BACKENDS), place="--backend")
    return name
