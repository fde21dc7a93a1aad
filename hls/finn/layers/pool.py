"""The largest of each window: FINN's Pool (MaxPool) in our RTL. Runs in environment `finn`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.pool import Pool

from dwell.hls.finn.layers.cell import MAX
from dwell.hls.finn.layers.layer import OwnLayer


class DwellMaxPool_rtl(Pool, OwnLayer):  # noqa: N801  FINN's way to name one
    """Beats of PE channels; the positions of a window come one after the other."""

    kind = MAX

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes of both bases."""
        return {**OwnLayer.get_nodeattr_types(self), **Pool.get_nodeattr_types(self)}

    def execute_node(self, context: Any, graph: Any) -> None:
        """As the module sees it: of PE channels all positions, then of the next. FINN's own execution wants all
        channels in a beat."""
        values = context[self.onnx_node.input[0]]
        window, lanes = int(np.prod(self.get_nodeattr("KernelSize"))), int(self.get_nodeattr("PE"))
        largest = values.reshape(*values.shape[:3], -1, window, lanes).max(axis=4)
        context[self.onnx_node.output[0]] = largest.reshape(self.get_normal_output_shape())

    def parameters(self) -> Mapping[str, int]:
        """Channels of a beat, their type, positions of a window."""
        kind = self.get_input_datatype()
        return {
            "LANES": int(self.get_nodeattr("PE")),
            "BITS": int(kind.bitwidth()),
            "SIGNED": int(kind.signed()),
            "BEATS": int(np.prod(self.get_nodeattr("KernelSize"))),
        }
