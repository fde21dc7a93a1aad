"""The two ends of a model: one input of fixed shape, one output."""

from __future__ import annotations

from typing import Any

from dwell.errors import ConfigError


def check_ends(model: Any, name: str) -> None:
    """Raises `ConfigError` for a model without one input of fixed shape and one output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        what = f"{name}: {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise ConfigError(what, hint="a network with one input and one output is needed", place=name)
    shape = tuple(model.inputs[0].shape[1:])
    if any(size is None for size in shape) or not 1 <= len(shape) <= 3:
        what = f"{name}: frames of shape {shape}"
        raise ConfigError(what, hint="save it with a fixed frame, such as (32, 32, 1)", place=name)
