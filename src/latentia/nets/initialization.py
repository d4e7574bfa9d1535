"""Initialisations of networks without normalisation layers."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
LAYER_TYPES = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def init_glorot(net: M) -> M:
    """Initialise uniformly with variance 2 / (fan in + fan out), zero bias; return the network.

    Glorot & Bengio 2010, equation 16.
    """
    return _init_layers(net, nn.init.xavier_uniform_)


def init_he(net: M, slope: float) -> M:
    """Initialise normally, keeping variance through LeakyReLU, zero bias; return the network.

    He et al. 2015, arXiv 1502.01852, equation 15.
    """
    return _init_layers(net, partial(nn.init.kaiming_normal_, a=slope))


def _init_layers(net: M, init_weight: Callable[[Tensor], Any]) -> M:
    for layer in net.modules():
        if isinstance(layer, LAYER_TYPES):
            init_weight(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def init_fixup(branches: list[nn.Sequential]) -> None:
    """Initialise residual branches of two layers to zero output; Zhang et al. 2019, section 3.

    The last layer is zero, the first is scaled by (number of branches)^(-1/2); arXiv 1901.09321.
    """
    for branch in branches:
        layers = [layer for layer in branch if isinstance(layer, LAYER_TYPES)]
        nn.init.zeros_(layers[-1].weight)
        layers[0].weight.data.div_(math.sqrt(len(branches)))
