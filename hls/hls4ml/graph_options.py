"""From hls4ml's configuration of a graph to the choices of our own back end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwell.errors import ConfigError
from dwell.hls.qmodel import Conv2D, Dense, QModel
from dwell.hls.rtl.options import RtlOptions, Style

IO_TYPES = ("io_parallel", "io_stream")
STRATEGIES = ("latency", "resource", "distributed_arithmetic")
#: hls4ml's layers that multiply by weights, beside those that merely contain one (Pointwise, Depthwise …).
_WEIGHTED = ("Dense", "Conv1D", "Conv2D", "Conv", "MatMul", "Gemm")


def graph_options(graph: Any, model: QModel, board: str) -> RtlOptions:
    """Style, reuse, clock and the rest, as the user's hls4ml configuration says.

    ``io_parallel`` is the style unrolled, ``io_stream`` is stream; in either, layers of the strategy
    ``Resource`` with a reuse factor above 1 are folded. Raises `ConfigError` for what has no counterpart.
    """
    config = graph.config
    io_type = str(config.get_config_value("IOType"))
    if io_type not in IO_TYPES:
        raise ConfigError(
            f"io_type {io_type!r}", hint=f"choose one of {', '.join(IO_TYPES)}", place="io_type"
        )
    reuse = reuse_factors(graph, model)
    folded = any(factor > 1 for factor in reuse.values())
    style: Style = "stream" if io_type == "io_stream" else "folded" if folded else "unrolled"
    chosen: dict[str, Any] = {}
    if config.get_config_value("LatencyCutoff") is not None:
        chosen["latency_cutoff"] = float(config.get_config_value("LatencyCutoff"))
    if folded:
        chosen["reuse"] = reuse
    period = float(config.get_config_value("ClockPeriod"))
    if not period > 0:
        raise ConfigError(f"a clock period of {period} ns", hint="give nanoseconds", place="clock_period")
    return RtlOptions(style=style, clock_mhz=1000.0 / period, board=board, **chosen)


def reuse_factors(graph: Any, model: QModel) -> Mapping[str, int]:
    """The reuse factor of every node with weights; 1 where the strategy is not ``Resource``.

    hls4ml's layers and the nodes of the integer graph stand in the same order. Raises `ConfigError` where
    factors are given to single layers of a graph whose layers and nodes cannot be paired so.
    """
    nodes = [node.name for node in model.nodes if isinstance(node, Conv2D | Dense)]
    layers = [layer for layer in graph.get_layers() if str(layer.class_name).endswith(_WEIGHTED)]
    factors = [_factor(graph, layer) for layer in layers]
    if len(layers) == len(nodes):
        return dict(zip(nodes, factors, strict=True))
    if len(set(factors)) > 1:
        raise ConfigError(
            f"{len(layers)} layers of hls4ml are {len(nodes)} in the integer graph: whose reuse factor is whose?",
            hint="give one ReuseFactor for the model",
            place="ReuseFactor",
        )
    return dict.fromkeys(nodes, factors[0] if factors else 1)


def _factor(graph: Any, layer: Any) -> int:
    strategy = str(graph.config.get_strategy(layer)).lower()
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"{layer.name}: strategy {strategy!r} has no counterpart in RTL",
            hint="use Latency (adder graphs) or Resource with a ReuseFactor (multiply-accumulate)",
            place=str(layer.name),
        )
    return int(graph.config.get_reuse_factor(layer)) if strategy == "resource" else 1
