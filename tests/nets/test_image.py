"""The last convolution, written as a matrix product, is the library's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from latentia.nets.image_output import ScatterConv2d, ToImage

SIZES = [
    ((2, 5, 6, 7), 1, 3),
    ((3, 4, 5, 5), 3, 3),
    ((1, 3, 8, 9), 2, 7),
    ((2, 2, 1, 1), 1, 3),
    ((2, 3, 4, 4), 2, 1),
]


def gaussians(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize(("shape", "after", "side"), SIZES)
def test_it_is_the_librarys_convolution_and_so_is_its_gradient(shape, after, side, last):
    x, weight = gaussians(*shape), gaussians(after, shape[1], side, side)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x, weight = x.requires_grad_(), weight.requires_grad_()
    assert torch.allclose(ScatterConv2d.apply(x, weight), F.conv2d(x, weight, padding=side // 2))
    assert torch.autograd.gradcheck(ScatterConv2d.apply, (x, weight))


def test_in_bfloat16_it_rounds_hardly_more_than_the_library():
    x = gaussians(4, 32, 14, 14).bfloat16().contiguous(memory_format=torch.channels_last)
    towards = gaussians(4, 1, 14, 14).bfloat16().float()  # for both the same, to the bit
    torch.manual_seed(0)
    ours, plain = ToImage(32, 1), nn.Conv2d(32, 1, 3, padding=1)
    plain.load_state_dict(ours.state_dict())
    found = {}
    for name, layer in (("ours", ours), ("plain", plain)):
        image = x.detach().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(image)
        assert y.dtype == torch.bfloat16
        (y.float() * towards).sum().backward()
        found[name] = [y, image.grad, layer.weight.grad, layer.bias.grad]
    image = x.float().requires_grad_()
    plain.zero_grad()
    exact = plain(image)
    (exact * towards).sum().backward()
    truth = [exact, image.grad, plain.weight.grad, plain.bias.grad]
    for our, other, true in zip(found["ours"], found["plain"], truth, strict=True):
        error, usual = ((each.float() - true).norm() for each in (our, other))
        assert error < 2 * usual + 1e-3 * true.norm()
        assert error < 0.01 * true.norm()


def test_in_float32_it_is_the_librarys_to_the_bit():
    layer, x = ToImage(4, 1), gaussians(2, 4, 5, 5).float()
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias, padding=1))
