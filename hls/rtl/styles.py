"""Which builder makes which style."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dwell.hls.qmodel import QModel
from dwell.hls.rtl.chain import build_chain
from dwell.hls.rtl.netlist import Netlist
from dwell.hls.rtl.options import RtlOptions, Style
from dwell.hls.rtl.unrolled import build_unrolled

Builder = Callable[[QModel, RtlOptions], Netlist]


def build(model: QModel, options: RtlOptions) -> Netlist:
    """The netlist of `model` in the style that `options` asks for; raises as `write_design` does."""
    builders: Mapping[Style, Builder] = {
        "stream": build_chain,
        "unrolled": build_unrolled,
    }
    return builders[options.style](model, options)
