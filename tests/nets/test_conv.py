"""Layers of our own against PyTorch's."""

import pytest
import torch
from torch import nn

from latentia.nets.conv import Conv, ConvTranspose


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


@pytest.mark.parametrize("kind", [(Conv, nn.Conv2d), (ConvTranspose, nn.ConvTranspose2d)])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2)])
def test_gradients_in_bfloat16_are_those_in_float32_on_a_single_pixel_too(kind, size):
    """PyTorch 2.13's own layer reads unwritten memory there, so what was freed is made large."""
    ours, theirs = (make(64, 32, 3, stride=2, padding=1) for make in kind)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(16, 64, *size)
    torch.testing.assert_close(ours(x), theirs(x))
    theirs(x).square().sum().backward()
    for _ in range(10):
        freed = [torch.full((100, 1000), 1e30) for _ in range(20)]
        del freed
        ours.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = ours(x)
        y.float().square().sum().backward()
        gap = (ours.weight.grad - theirs.weight.grad).abs().max()
        assert gap < 0.03 * theirs.weight.grad.abs().max()
