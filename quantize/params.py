"""What `[quantize]` may hold, one class for each front end."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import pydantic

from dwell.project import Section

WeightBits: TypeAlias = Annotated[int, pydantic.Field(ge=2, le=8)]
ActivationBits: TypeAlias = Annotated[int, pydantic.Field(ge=1, le=8)]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


class BrevitasParams(Section):
    """`[quantize]` with `frontend = "brevitas"`: the widths are given, their power-of-two scales are found.

    A single width stands for every layer; a list has one for each layer (`activation_bits`: each hidden one).
    """

    weight_bits: Annotated[tuple[WeightBits, ...], pydantic.BeforeValidator(_one_or_many)] = (7,)
    activation_bits: Annotated[tuple[ActivationBits, ...], pydantic.BeforeValidator(_one_or_many)] = (6,)
    epochs: int = pydantic.Field(default=7, ge=1, le=1000)
    learning_rate: float = pydantic.Field(default=3e-3, gt=0, le=1)  # the peak of its schedule


class Hgq2Params(Section):
    """`[quantize]` with `frontend = "hgq2"`: widths are learnt, of every weight and of every layer's output.

    `weight_bits` (sign included) and `activation_bits` are where they start; `beta` is what one effective bit
    operation a pixel adds to the loss.
    """

    weight_bits: WeightBits = 6
    activation_bits: ActivationBits = 6
    epochs: int = pydantic.Field(default=7, ge=1, le=1000)
    learning_rate: float = pydantic.Field(default=4e-3, gt=0, le=1)  # the peak of its schedule
    beta: float = pydantic.Field(default=1e-7, ge=0, le=1)
