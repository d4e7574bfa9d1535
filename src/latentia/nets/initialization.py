"""Initialisations of networks without normalisation, which live or die by them."""

import math
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)
LAYER_TYPES = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def init_glorot(net: M) -> M:
    """Uniform weights of variance 2 / (fan in + fan out), zero bias; Glorot & Bengio 2010, eq. 16.

    Returns the network.
    """
    for layer in net.modules():
        if isinstance(layer, LAYER_TYPES):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def init_he(net: M, slope: float) -> M:
    """Normal weights that keep the variance through LeakyReLU, zero bias; He et al. 2015, eq. 15.

    Returns the network.
    """
    for layer in net.modules():
        if isinstance(layer, LAYER_TYPES):
            nn.init.kaiming_normal_(layer.weight, a=slope)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def init_fixup(branches: list[nn.Sequential]) -> None:
    """Residual branches of two layers that start as the identity, whatever their number.

    The last layer is zero, the first is scaled by count^(-1/2); Zhang et al. 2019, arXiv
    1901.09321, section 3.
    """
    for branch in branches:
        layers = [layer for layer in branch if isinstance(layer, LAYER_TYPES)]
        nn.init.zeros_(layers[-1].weight)
        layers[0].weight.data.div_(math.sqrt(len(branches)))
