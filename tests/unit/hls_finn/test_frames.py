"""The type that a network's frames are read with."""

from __future__ import annotations

from pathlib import Path

import brevitas.nn as qnn
import finn_networks
import torch
from brevitas.quant import Int8WeightPerTensorFloat

from dwell.hls.finn.frames import typed
from dwell.hls.finn.golden import READ_WITH
from dwell.hls.frontends.network import network_from_file
from dwell.hls.qmodel import FixedPoint


def test_a_network_that_quantizes_its_frames_says_their_type_itself(tmp_path: Path) -> None:
    network = network_from_file(
        finn_networks.export(finn_networks.strided_cnn(), tmp_path / "net.onnx"), None
    )
    assert typed(network) is network


def test_frames_without_a_type_are_read_as_counts(tmp_path: Path) -> None:
    layers = torch.nn.Sequential(
        qnn.QuantConv2d(1, 2, 3, weight_quant=Int8WeightPerTensorFloat, bias=False), torch.nn.ReLU()
    )
    network = network_from_file(finn_networks.export(layers, tmp_path / "net.onnx"), None)
    assert typed(network).input_type == FixedPoint.parse(READ_WITH)
