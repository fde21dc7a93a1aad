"""What converting asks of options: the input's type and the back end."""

from __future__ import annotations

from dwell.errors import ConfigError, nearest
from dwell.hls.qmodel import FixedPoint

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
