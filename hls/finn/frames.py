"""The type that a network's frames are read with."""

from __future__ import annotations

from dataclasses import replace

from dwell.errors import ConfigError
from dwell.hls.finn.golden import READ_WITH
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.qmodel import FixedPoint


def typed(network: QuantizedNetwork) -> QuantizedNetwork:
    """`network` with `READ_WITH` for its input, unless its first quantizer says the type."""
    try:
        network.reading("network")
    except ConfigError as error:
        if network.input_type is not None or error.place != "convert.input_type":
            raise
        return replace(network, input_type=FixedPoint.parse(READ_WITH))
    return network
