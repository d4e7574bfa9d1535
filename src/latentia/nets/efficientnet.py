"""EfficientNet-Lite0, a small classifier of photographs, whose pooled features compare images."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEATURE_DIMS = 1280
# of each stage: blocks, kernel, stride of the first block, expansion, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
BATCH_NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """Convolution of ceil(side / stride) outputs a side; odd padding goes to the lower right."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:  # pyright: ignore
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        h, w = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
        # an odd row of padding becomes a row of zeros of the kernel: a padded copy takes longer
        weight = F.pad(self.weight, (w % 2, 0, h % 2, 0)) if h % 2 or w % 2 else self.weight
        padding = -(-h // 2), -(-w // 2)
        return F.conv2d(x, weight, self.bias, self.stride, padding, groups=self.groups)


class InvertedBottleneck(nn.Module):
    """Expansion by 1x1, depthwise convolution, projection by 1x1; Sandler et al. 2018.

    The input is added where the output has its shape. arXiv 1801.04381.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = c_in * expansion
        expand = [SameConv(c_in, wide, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.layers = nn.Sequential(
            *expand, depthwise, nn.ReLU6(inplace=True), SameConv(wide, c_out, 1)
        )
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        y = self.layers(x)
        return y.add_(x) if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """Features of EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946), batch norms folded in.

    Images (b, 3, h, w) in [0, 1] of any size to the features (b, 1280) before its last layer,
    averaged over positions. It was trained on ImageNet at 224x224. Its 3.4 million weights are
    buffers.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 32, 3, 2), nn.ReLU6(inplace=True))
        blocks, c_in = [], 32
        for count, kernel, stride, expansion, c_out in STAGES:
            for index in range(count):
                first_stride = stride if index == 0 else 1
                blocks.append(InvertedBottleneck(c_in, c_out, kernel, first_stride, expansion))
                c_in = c_out
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(SameConv(c_in, FEATURE_DIMS, 1), nn.ReLU6(inplace=True))
        for module in self.modules():  # no optimizer trains a buffer
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach())

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1280"]:
        x = self.stem((images * 255 - 127) / 128)
        for block in self.blocks:
            x = block(x)
        return self.head(x).mean((2, 3))


def fold_batch_norms(published: dict[str, Tensor]) -> Iterator[Tensor]:
    """Yield weight and bias of each convolution, in order, from those published with batch norms.

    A batch norm that follows a convolution is a factor of its weight and a bias.
    """
    convs = [value for value in published.values() if value.ndim == 4]
    ends = ("running_mean", "running_var", "weight", "bias")
    norms = [name.removesuffix(ends[0]) for name in published if name.endswith(ends[0])]
    for conv, norm in zip(convs, norms, strict=True):
        mean, variance, weight, bias = (published[norm + end] for end in ends)
        factor = weight * torch.rsqrt(variance + BATCH_NORM_EPS)
        yield conv * factor[:, None, None, None]
        yield bias - mean * factor
