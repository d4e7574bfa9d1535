"""Critics: images to raw logits, large for images that look real; losses apply the sigmoid."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from latentia.nets.conv import Conv, Norm, conv3x3, halving_sizes, make_stage, make_strided_stack
from latentia.nets.residual import (
    LEAKY_SLOPE,
    Residual,
    init_residual_network,
    make_group_norm,
    make_leaky_relu,
)


class Critic(nn.Module):
    """3x3 convolutions of stride 2 with LeakyReLU, optional norm and dropout, then one Linear."""

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (64, 64),
        slope: float = 0.2,
        dropout: float = 0.0,
        norm: Norm | None = None,
    ):
        super().__init__()
        self.blocks = make_strided_stack(shape[0], channels, slope, norm, dropout)
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.logit = nn.Linear(channels[-1] * h * w, 1)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b ..."]]:
        """Outputs of each LeakyReLU: (b, channels[k], h / 2^(k + 1), w / 2^(k + 1)), rounded up."""
        outputs = []
        for layer in self.blocks:
            image = layer(image)
            if isinstance(layer, nn.LeakyReLU):
                outputs.append(image)
        return outputs

    def to_logits(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Map the last of the `features` to logits."""
        return self.logit(features.flatten(1)).squeeze(1)  # (b,)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return self.to_logits(self.blocks(image))


class ResidualCritic(nn.Module):
    """Norm-free critic: strided convolutions, residual blocks after each, then one Linear.

    Without norms a logit depends on its own image only, so that a gradient penalty is per image,
    and batch statistics cannot reveal whether a batch is real.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int] = (32, 64), depth: int = 1):
        super().__init__()
        blocks: list[nn.Module] = []
        for c_in, c_out in zip([shape[0], *channels], channels, strict=False):
            blocks.append(Conv(c_in, c_out, 3, stride=2, padding=1))
            blocks += [Residual(c_out) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks, nn.LeakyReLU(LEAKY_SLOPE))
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        # no bias: it has no gradient in a relativistic loss, which sees differences of logits
        self.logit = nn.Linear(channels[-1] * h * w, 1, bias=False)
        init_residual_network(self)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        x = self.blocks(image)  # (b, channels[-1], h / 2^n, w / 2^n)
        return self.logit(x.flatten(1)).squeeze(1)  # (b,)


class PatchCritic(nn.Module):
    """Patch critic: 4x4 convolutions of stride 2 with GroupNorm, then a logit for each position.

    Each logit classifies its receptive field; Isola et al. 2017, arXiv 1611.07004, section 3.2.2.
    As there, the first convolution has no norm.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int] = (64, 128, 256)):
        super().__init__()
        self.blocks = nn.ModuleList()
        for c_in, c_out in zip([shape[0], *channels], channels, strict=False):
            norm = make_group_norm if len(self.blocks) else None
            conv = nn.Conv2d(c_in, c_out, 4, stride=2, padding=1)
            self.blocks.append(nn.Sequential(*make_stage(conv, c_out, LEAKY_SLOPE, norm)))
        self.logit = conv3x3(channels[-1], 1)

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b ..."]]:
        """Outputs of each block: (b, channels[k], h / 2^(k + 1), w / 2^(k + 1))."""
        outputs = [image]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs[1:]

    def to_logits(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        """Map the last of the `features` to logits."""
        return self.logit(features).squeeze(1)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h2 w2"]:
        return self.to_logits(self.features(image)[-1])  # (b, h / 2^n, w / 2^n)


class SpectralPatchCritic(nn.Module):
    """Patch critic whose weights have spectral norm 1; its first convolution sees every pixel.

    The norms bound its slopes, so that it does not tell all patches apart after few steps, when it
    has no gradient to teach; Miyato et al. 2018, arXiv 1802.05957.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int]):
        super().__init__()
        convs = [conv3x3(shape[0], channels[0])]
        convs += [nn.Conv2d(c, c_out, 4, stride=2, padding=1) for c, c_out in pairwise(channels)]
        blocks = [layer for conv in convs for layer in (spectral_norm(conv), make_leaky_relu())]
        self.blocks = nn.Sequential(*blocks, spectral_norm(conv3x3(channels[-1], 1)))

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h2 w2"]:
        return self.blocks(4 * image - 2).squeeze(1)  # (b, h / 2^(n - 1), w / 2^(n - 1))
