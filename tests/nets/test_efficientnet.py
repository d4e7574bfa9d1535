"""SameConv equals a convolution of a zero-padded image, and a block leaves its input."""

import pytest
import torch
import torch.nn.functional as F

from latentia.nets.efficientnet import InvertedBottleneck, SameConv


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(8, 8), (7, 8), (8, 7), (9, 13), (1, 2)])
def test_padding_is_that_of_zeros_with_the_odd_one_last(kernel, stride, sides):
    conv = SameConv(6, 6, kernel, stride, groups=3).double()
    x = torch.randn(2, 6, *sides, dtype=torch.float64)
    outputs = [-(-side // stride) for side in sides]
    totals = [max((n - 1) * stride + kernel - s, 0) for n, s in zip(outputs, sides, strict=True)]
    h, w = totals
    padded = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
    expected = F.conv2d(padded, conv.weight, conv.bias, stride, groups=3)
    assert list(expected.shape[2:]) == outputs
    torch.testing.assert_close(conv(x), expected, atol=1e-12, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("expansion", [1, 6])
def test_a_block_leaves_its_input_as_it_is(expansion):
    x = torch.randn(2, 4, 6, 6)
    before = x.clone()
    block = InvertedBottleneck(4, 4, 3, 1, expansion)
    assert torch.equal(block(x), before + block.layers(before))
    assert torch.equal(x, before)
