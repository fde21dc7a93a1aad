"""Rung 2 inside a recurrence: every step of every quantizer, and one changed number makes it fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recurrent_nets import STATE_FRAC, frames_of, lstm

from dwell.errors import VerificationError
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.gate import compare_reference
from dwell.hls.qmodel import QModel, Recurrent, run_codes, trace_codes

pytestmark = pytest.mark.fast

STEPS, FRAMES = 4, 30
#: `compare_reference` asks it for nothing but fractions.
NETWORK = QuantizedNetwork(Path("none"), None, None, (), None)  # type: ignore[arg-type]


def node_of(model: QModel) -> Recurrent:
    return next(node for node in model.nodes if isinstance(node, Recurrent))


def kept(model: QModel) -> dict[str, np.ndarray]:
    """What a source framework would have kept: codes of each step, by hand."""
    node, codes = node_of(model), frames_of(model, FRAMES)
    state = np.tile(node.initial, (FRAMES, 1))
    found: dict[str, list[np.ndarray]] = {source: [] for source, _ in node.body.quantizers}
    for step in range(STEPS):
        up = codes[:, step] << (STATE_FRAC - model.tensors["x"].type.frac)
        traced = trace_codes(node.body, np.concatenate([up, state], axis=1))
        for source, tensor in node.body.quantizers:
            found[source].append(traced[tensor])
        state = traced[node.body.output][:, node.results :]
    y = model.to_real(model.output, run_codes(model, codes))
    each = {f"codes/{source}": np.stack(steps, axis=1) for source, steps in found.items()}
    return {"x": model.to_real("x", codes).astype(np.float32), "y": y} | each


def with_body(model: QModel, change: Callable[[Any], Any]) -> QModel:
    node = node_of(model)
    body = replace(node.body, nodes=tuple(change(inner) for inner in node.body.nodes))
    nodes = tuple(replace(old, body=body) if isinstance(old, Recurrent) else old for old in model.nodes)
    return replace(model, nodes=nodes)


def test_every_step_is_compared() -> None:
    model = lstm(steps=STEPS)
    found = compare_reference(model, NETWORK, kept(model))
    assert found.codes == {
        "cell.z": FRAMES * STEPS * 16, "cell.h": FRAMES * STEPS * 4, "output": FRAMES * 3,
    }  # fmt: skip


@pytest.mark.parametrize("step", range(STEPS))
def test_a_code_of_any_step_is_missed(step: int) -> None:
    model = lstm(steps=STEPS)
    arrays = kept(model)
    arrays["codes/cell.z"][7, step, 3] += 1
    with pytest.raises(VerificationError, match=r"cell\.z") as caught:
        compare_reference(model, NETWORK, arrays)
    assert caught.value.first_mismatch is not None and caught.value.first_mismatch["index"][0] == 7


def test_another_weight_inside_is_found() -> None:
    model = lstm(steps=STEPS)
    arrays = kept(model)

    def change(node: Any) -> Any:
        if node.name != "gates":
            return node
        weight = node.weight.copy()
        weight[0, 0] -= 1 if weight[0, 0] > 0 else -1
        return replace(node, weight=weight)

    with pytest.raises(VerificationError, match=r"cell\.z"):
        compare_reference(with_body(model, change), NETWORK, arrays)


def test_a_quantizer_inside_that_nobody_kept_is_missed() -> None:
    model = lstm(steps=STEPS)
    arrays = kept(model)
    del arrays["codes/cell.h"]
    with pytest.raises(VerificationError, match="the quantizers differ"):
        compare_reference(model, NETWORK, arrays)
