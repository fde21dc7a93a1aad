"""Our layers in a FINN graph, in place of FINN's HLS ones. Runs in environment `finn`."""

from __future__ import annotations

from typing import Any

#: FINN's layer for Vitis HLS and ours in its place, once it is folded.
IN_PLACE_OF = {
    "DuplicateStreams_hls": "DwellFork_rtl",
    "ElementwiseAdd_hls": "DwellAdd_rtl",
    "Pool_hls": "DwellMaxPool_rtl",
}
DOMAIN = "finn.custom_op.fpgadataflow.rtl"


def register() -> None:
    """Make our layers known to FINN, the way its own are."""
    from finn.custom_op.fpgadataflow.rtl import register_custom_op

    from dwell.hls.finn.layers.add import DwellAdd_rtl
    from dwell.hls.finn.layers.fork import DwellFork_rtl
    from dwell.hls.finn.layers.pool import DwellMaxPool_rtl

    for layer in (DwellFork_rtl, DwellAdd_rtl, DwellMaxPool_rtl):
        register_custom_op(layer)


def place(model: Any) -> Any:
    """`model` with ours in place of each HLS layer that we have."""
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import GiveUniqueNodeNames

    register()
    for node in model.graph.node:
        ours = IN_PLACE_OF.get(node.op_type)
        if ours:
            node.op_type, node.domain = ours, DOMAIN
            known = getCustomOp(node).get_nodeattr_types()
            for attribute in [a for a in node.attribute if a.name not in known]:
                node.attribute.remove(attribute)
    return model.transform(GiveUniqueNodeNames())
