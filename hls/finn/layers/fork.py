"""One tensor to several layers: FINN's DuplicateStreams in our RTL. Runs in environment `finn`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams

from dwell.hls.finn.layers.cell import FORK
from dwell.hls.finn.layers.layer import OwnLayer


class DwellFork_rtl(DuplicateStreams, OwnLayer):  # noqa: N801  FINN's way to name one
    """Beats of PE channels, each to every taker."""

    kind = FORK

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes of both bases."""
        return {**OwnLayer.get_nodeattr_types(self), **DuplicateStreams.get_nodeattr_types(self)}

    def execute_node(self, context: Any, graph: Any) -> None:
        """FINN's own execution in Python."""
        DuplicateStreams.execute_node(self, context, graph)

    def parameters(self) -> Mapping[str, int]:
        """Bits of a beat and number of takers."""
        return {"BITS": int(self.get_instream_width()), "WAYS": int(self.get_num_output_streams())}
