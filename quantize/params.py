"""What `[quantize]` may hold, one class for each front end."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

import pydantic

from dwell.project import Section

WeightBits: TypeAlias = Annotated[int, pydantic.Field(ge=2, le=8)]
ActivationBits: TypeAlias = Annotated[int, pydantic.Field(ge=1, le=8)]

_WEIGHT_BITS = (7,)


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


class Budget(Section):
    """What weights may cost, in any of three ways.

    `lut`: estimated look-up tables of all adder graphs; `latency_cycles`: clocks of their pipelines, one after
    the other; `mean_weight_bits`: bits of a weight, on average.
    """

    lut: int | None = pydantic.Field(default=None, gt=0)
    latency_cycles: int | None = pydantic.Field(default=None, gt=0)
    mean_weight_bits: float | None = pydantic.Field(default=None, gt=0)

    @pydantic.model_validator(mode="after")
    def _something(self) -> Self:
        if self.lut is None and self.latency_cycles is None and self.mean_weight_bits is None:
            raise ValueError("a budget names lut, latency_cycles or mean_weight_bits")
        return self


class WidthParams(Section):
    """Widths of weights, given or found.

    A single width stands for every layer; a list has one for each layer (`activation_bits`: each hidden one).
    With `bits = "hessian"` the weights' widths are found within `budget`, by at most `hessian_probes` probes of
    the Hessian or until every trace has the standard error `hessian_error`, relative.
    """

    bits: Literal["given", "hessian"] = "given"
    budget: Budget | None = None
    hessian_probes: int = pydantic.Field(default=100, ge=8, le=10_000)
    hessian_error: float = pydantic.Field(default=0.1, gt=0, le=1)
    weight_bits: Annotated[tuple[WeightBits, ...], pydantic.BeforeValidator(_one_or_many)] = _WEIGHT_BITS
    activation_bits: Annotated[tuple[ActivationBits, ...], pydantic.BeforeValidator(_one_or_many)] = (6,)

    @pydantic.model_validator(mode="after")
    def _budget_where_it_is_used(self) -> Self:
        if self.bits == "hessian" and self.budget is None:
            raise ValueError('bits = "hessian" needs a budget, such as budget = { lut = 9000 }')
        if self.bits == "given" and self.budget is not None:
            raise ValueError('a budget is for bits = "hessian"')
        if self.bits == "hessian" and self.weight_bits != _WEIGHT_BITS:
            raise ValueError('bits = "hessian" finds the weights\' widths: leave weight_bits out')
        return self


class BrevitasParams(WidthParams):
    """`[quantize]` with `frontend = "brevitas"`: `WidthParams`; the power-of-two scales are found.

    With `rules = "finn"` the network keeps what FINN's layers in RTL ask (`dwell.quantize.finn_rules`), and its
    file is for frames of the data's own size, for which FINN's design is built.
    """

    rules: Literal["any", "finn"] = "any"
    epochs: int = pydantic.Field(default=7, ge=1, le=1000)
    learning_rate: float = pydantic.Field(default=3e-3, gt=0, le=1)  # the peak of its schedule

    @property
    def whole_frames(self) -> bool:
        """Whether the network is written for frames of the data's size rather than for a few windows."""
        return self.rules == "finn"

    @pydantic.model_validator(mode="after")
    def _two_bits_for_finn(self) -> Self:
        if self.rules == "finn" and min(self.activation_bits) < 2:
            raise ValueError(
                'activations of 1 bit are not for rules = "finn": its matrix unit in RTL takes 2 to 8 bits'
            )
        return self


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


class QKerasParams(WidthParams):
    """`[quantize]` with `frontend = "qkeras"`: `WidthParams`; the power-of-two ranges are found."""

    epochs: int = pydantic.Field(default=7, ge=1, le=1000)
    learning_rate: float = pydantic.Field(default=3e-3, gt=0, le=1)  # the peak of its schedule
