"""Adversarial losses on raw logits, nats per image; and penalties on the critic's gradient."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import to_float32

Logits = Float[Tensor, " b"]
Patches = Float[Tensor, "b *patches"]  # of a critic that judges patches; else as Logits


def as_real(logits: Patches) -> Logits:
    """-log D, D = sigmoid(logit): the cost of not taking an image for real."""
    return per_image(F.softplus(-to_float32(logits)))


def as_fake(logits: Patches) -> Logits:
    """-log(1 - D): the cost of not taking an image for fake."""
    return per_image(F.softplus(to_float32(logits)))


def per_image(values: Patches) -> Logits:
    """The mean over an image's patches: a critic of patches sees many images in one."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


class NonSaturating:
    """Goodfellow et al. 2014, arXiv 1406.2661, section 3: the generator descends -log D(fake)."""

    relative = False

    def critic(self, real: Logits, fake: Logits) -> dict[str, Logits]:
        return {"real": as_real(real), "fake": as_fake(fake)}

    def generator(self, real: Logits | None, fake: Logits) -> dict[str, Logits]:
        return {"adversarial": as_real(fake)}


class Relativistic:
    """Each fake against one real image; Jolicoeur-Martineau 2018, arXiv 1807.00734, as the pairing
    loss of Huang et al. 2024, arXiv 2501.05441, equation 2, whose generator descends the mirror
    image of the critic's loss.
    """

    relative = True

    def critic(self, real: Logits, fake: Logits) -> dict[str, Logits]:
        return {"pair": as_real(to_float32(real) - to_float32(fake))}

    def generator(self, real: Logits | None, fake: Logits) -> dict[str, Logits]:
        assert real is not None
        return {"adversarial": as_real(to_float32(fake) - to_float32(real))}


def slope(logits: Logits, images: Float[Tensor, "b c h w"]) -> Logits:
    """|gradient of the logit at its image|^2 / 2, differentiable; R1 on real images, R2 on fakes.

    Mescheder et al. 2018, arXiv 1801.04406, equation 9, without its gamma. The critic must judge
    each image apart: with BatchNorm the gradient of the sum is not that of a logit.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return 0.5 * to_float32(gradient).square().flatten(1).sum(1)


def carrying(
    value: Float[Tensor, " b"], output: Float[Tensor, "b *any"], gradient: Float[Tensor, "b *any"]
) -> Float[Tensor, " b"]:
    """`value`, whose gradient at `output` is known: its backward does not pass what made it.

    The gradient of the sum of the result over images, at `output`, is `gradient`.
    """
    inner = (to_float32(output) * gradient).flatten(1).sum(1)
    return value.detach() + (inner - inner.detach())
