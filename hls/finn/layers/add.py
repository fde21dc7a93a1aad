"""The sum of two tensors: FINN's ElementwiseAdd in our RTL. Runs in environment `finn`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd

from dwell.errors import InternalError
from dwell.hls.finn.layers.cell import ADD
from dwell.hls.finn.layers.layer import OwnLayer


class DwellAdd_rtl(ElementwiseAdd, OwnLayer):  # noqa: N801  FINN's way to name one
    """Beats of PE elements of both tensors, in the same order."""

    kind = ADD

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes of both bases."""
        return {**OwnLayer.get_nodeattr_types(self), **ElementwiseAdd.get_nodeattr_types(self)}

    def execute_node(self, context: Any, graph: Any) -> None:
        """FINN's own execution in Python."""
        ElementwiseAdd.execute_node(self, context, graph)

    def parameters(self) -> Mapping[str, int]:
        """Elements of a beat and their types. Raises `InternalError` for a type that does not hold the sum."""
        first, second, total = self.lhs_dtype, self.rhs_dtype, self.out_dtype
        if first.min() + second.min() < total.min() or first.max() + second.max() > total.max():
            raise InternalError(f"{self.onnx_node.name}: {total} does not hold {first} + {second}")
        return {
            "LANES": int(self.pe),
            "A_BITS": int(first.bitwidth()),
            "A_SIGNED": int(first.signed()),
            "B_BITS": int(second.bitwidth()),
            "B_SIGNED": int(second.signed()),
            "OUT_BITS": int(total.bitwidth()),
        }
