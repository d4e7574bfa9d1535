"""Layers of our own against PyTorch's."""

import pytest
import torch
from torch import nn

from latentia.nets.conv import ConvTranspose


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_bias_added_apart_is_the_librarys_layer_forward_and_backward(layout):
    ours = ConvTranspose(3, 5, 3, 2, 1, output_padding=(1, 0)).double()
    theirs = nn.ConvTranspose2d(3, 5, 3, 2, 1, output_padding=(1, 0)).double()
    theirs.load_state_dict(ours.state_dict())
    found = []
    for layer in (ours, theirs):
        torch.manual_seed(0)
        x = torch.randn(2, 3, 4, 6, dtype=torch.float64).to(memory_format=layout).requires_grad_()
        y = layer(x)
        y.sin().sum().backward()
        found.append([y, x.grad, layer.weight.grad, layer.bias.grad])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
