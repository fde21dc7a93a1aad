"""Which builder makes which style."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dwell.hls.qmodel import Cast, Conv2D, Input, QModel, Relu, checked
from dwell.hls.rtl.chain import build_chain
from dwell.hls.rtl.design.stream import build_stream
from dwell.hls.rtl.folded.chain import build_folded_chain
from dwell.hls.rtl.folded.dense import build_folded
from dwell.hls.rtl.folded.plan import carries, require_reuse
from dwell.hls.rtl.netlist import Netlist
from dwell.hls.rtl.options import RtlOptions, Style
from dwell.hls.rtl.unrolled import build_unrolled

Builder = Callable[[QModel, RtlOptions], Netlist]


def build(model: QModel, options: RtlOptions) -> Netlist:
    """The netlist of `model` in the style that `options` asks for; raises as `write_design` does."""
    builders: Mapping[Style, Builder] = {
        "stream": build_stream
        if not any_size(model, options)
        else build_folded_chain
        if options.folds
        else build_chain,
        "unrolled": build_unrolled,
        "folded": _folded,
    }
    return builders[options.style](checked(model), options)


def any_size(model: QModel, options: RtlOptions) -> bool:
    """Whether style `stream` takes frames of any size: a chain of valid convolutions of stride 1, a pixel a clock."""
    return (
        options.pixels_per_clock == 1
        and model.is_chain
        and len(model.tensors[model.input].shape) == 3
        and all(isinstance(node, Input | Conv2D | Relu | Cast) for node in model.nodes)
        and all(
            node.stride == (1, 1) and not any(node.padding) and node.groups == 1
            for node in model.nodes
            if isinstance(node, Conv2D)
        )
    )


def _folded(model: QModel, options: RtlOptions) -> Netlist:
    """A chain of dense layers by itself; branches and convolutions as a stream with the same folded layers."""
    require_reuse(model, options)
    return build_folded(model, options) if carries(model) else build_stream(model, options)
