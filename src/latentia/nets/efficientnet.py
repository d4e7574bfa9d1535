"""EfficientNet-Lite0, a small classifier of photographs, whose pooled features compare images."""

from collections.abc import Sequence

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


def fold_batch_norms(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `EfficientNetLite0` from those published with batch norms.

    A batch norm that follows a convolution is a factor of its weight and a bias.
    """
    return {
        f"{ours}.{kind}": value
        for ours, conv, norm in _pair_names()
        for kind, value in zip(("weight", "bias"), _fold(published, conv, norm), strict=True)
    }


def _pair_names() -> Sequence[tuple[str, str, str]]:
    """Names of each convolution here, of the published one, and of its batch norm."""
    pairs = [("stem.0", "_conv_stem", "_bn0"), ("head.0", "_conv_head", "_bn1")]
    n_blocks = sum(stage[0] for stage in STAGES)
    for index in range(n_blocks):
        parts = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for layer, (conv, norm) in zip((0, 2, 4), parts, strict=True):
            if index == 0:  # the only block without expansion
                if layer == 0:
                    continue
                layer -= 2
            prefix = f"_blocks.{index}."
            pairs.append((f"blocks.{index}.layers.{layer}", prefix + conv, prefix + norm))
    return pairs


def _fold(published: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    mean, variance, weight, bias = (
        published[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    factor = weight * torch.rsqrt(variance + BATCH_NORM_EPS)
    folded = published[f"{conv}.weight"] * factor[:, None, None, None]
    return folded, bias - mean * factor
