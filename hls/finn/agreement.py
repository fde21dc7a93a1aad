"""FINN's layers beside the golden model: types and sizes at the ends, and the integers of its execution in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dwell.errors import VerificationError
from dwell.hls.qmodel import FixedPoint, QModel, run_codes, value_range


def check_ports(model: QModel, ports: Mapping[str, Any]) -> None:
    """FINN's types at both ends have to hold the golden model's codes, and the sizes have to agree."""
    for side, name in (("input", model.input), ("output", model.output)):
        tensor, port = model.tensors[name], ports[side]
        kind = FixedPoint(port["signed"], port["width"], 0)
        low, high = value_range(model, name)
        size = int(np.prod(tensor.shape))
        if int(low.min()) < kind.lo or int(high.max()) > kind.hi or port["elements"] * port["beats"] != size:
            raise VerificationError(
                f"FINN's {side} is {size} elements of {kind}, the network's has codes {low.min()} to {high.max()}",
                first_mismatch={"port": side},
                hint="convert with --backend rtl",
            )


def check_execution(execution: Mapping[str, Any]) -> None:
    """FINN's layers in Python have to be the network as the QONNX executor runs it."""
    worst = float(execution["largest_difference"])
    if worst > float(execution["allowed"]):
        raise VerificationError(
            f"FINN's layers in Python differ from the QONNX executor by {worst:g}",
            hint="convert with --backend rtl; FINN changed the network",
            first_mismatch={"largest_difference": worst},
        )


def check_integers(model: QModel, work: Path) -> None:
    """FINN's execution in Python, as `work` holds it, against the golden model: equal integers."""
    with np.load(work / "frames.npz") as arrays:
        codes, wanted = arrays["codes"], arrays["y"]
    got = run_codes(model, codes.reshape(len(codes), *model.tensors[model.input].shape)).reshape(
        len(codes), -1
    )
    different = np.argwhere(got != wanted.reshape(len(codes), -1))
    if len(different):
        frame, element = (int(v) for v in different[0])
        raise VerificationError(
            f"FINN's layers give other integers than the golden model in {len(different)} of {got.size} places",
            first_mismatch={
                "frame": frame,
                "element": element,
                "expected": int(got[frame, element]),
                "got": int(wanted.reshape(len(codes), -1)[frame, element]),
            },
            hint="convert with --backend rtl",
        )
