"""What a front end makes of a file: the integer graph, and what rung 2 has to know to hold it against the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dwell.hls.qmodel import Codes, QModel, checked

#: Codes of the tensor before a quantizer (n,), which may lie between integers, and their channels (n,), to what
#: the source's own kernels make of them.
Ask: TypeAlias = Callable[[npt.NDArray[np.float64], Codes], Codes]


@dataclass(frozen=True, eq=False)
class Slack:
    """Where float32 sums of the source decide: the quantizer reads `source`, whose codes it holds to ± `noise`.

    A code of the quantizer may then be that of an accumulator within `noise` of ours, and no other.
    """

    source: str
    noise: float
    ask: Ask

    def excuses(
        self, codes: Codes, channels: Codes, got: Codes, expected: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Where both `got` and `expected` are what the source makes of some sum within `noise` of `codes` (n,)."""
        exact = codes.astype(np.float64)
        asked = [self.ask(exact + shift, channels) for shift in (-self.noise, 0.0, self.noise)]
        low, high = np.minimum.reduce(asked), np.maximum.reduce(asked)
        within = (low <= got) & (got <= high) & (low <= expected) & (expected <= high)
        return np.asarray(within, dtype=np.bool_)


@dataclass(frozen=True)
class Ending:
    """How the output of the integer graph relates to the source: its tensor there, and what its codes stand for.

    `place` is the last tensor of the source that codes are exact for, with `scale` (and no offset); `logits` the
    one that codes times the output tensor's own scale, plus its offset, stand for. `noise` is as in `Slack`, `error`
    the same for the logits, in their own unit: how far float32 may be from the exact value. `whole` is false where
    the file goes on behind the logits, with a softmax that is left out.
    """

    place: str
    scale: tuple[float, ...]
    logits: str
    noise: float = 0.0
    error: float = 0.0
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Reading:
    """An integer graph with `slack` by tensor, the axes of the source's tensors, and the output's `ending`.

    `orders` maps a place of the source to its axes in the order of the integer graph's tensor; the input is
    under ``"<input>"``.
    """

    model: QModel
    slack: Mapping[str, Slack] = field(default_factory=dict)
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ending: Ending | None = None

    def named(self, name: str) -> Reading:
        """The same graph under another name."""
        return replace(self, model=checked(replace(self.model, name=name)))


INPUT = "<input>"
