"""Small Brevitas networks under FINN's rules, and some that break one."""

from __future__ import annotations

import torch
from brevitas_networks import convolution, export, identity, relu, strided_cnn

__all__ = ["binary_activations", "export", "pooled", "strided_cnn", "wide_weights"]


def pooled() -> torch.nn.Module:
    """A maximum pooling, which FINN has in HLS only and we in RTL."""
    return torch.nn.Sequential(
        identity(), convolution(1, 4, 3), relu(), torch.nn.MaxPool2d(2), convolution(4, 2, 3)
    )


def binary_activations() -> torch.nn.Module:
    """Activations of one bit."""
    return torch.nn.Sequential(identity(), convolution(1, 4, 3), relu(1), convolution(4, 2, 3))


def wide_weights() -> torch.nn.Module:
    """A weight at the lowest code of its type."""
    network = torch.nn.Sequential(
        identity(), convolution(1, 4, 3, narrow=False), relu(), convolution(4, 2, 3)
    )
    with torch.no_grad():
        network[1].weight[0, 0, 0, 0] = -2.0 * network[1].weight.abs().max()
    return network
