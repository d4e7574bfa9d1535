"""Losses of a critic's raw logits and features, and penalties on its gradient, nats per image."""

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Role, Term, Terms
from latentia.core.tensors import to_float32

Logits = Float[Tensor, " b"]
Patches = Float[Tensor, "b *patches"]  # a critic of patches has several logits an image
Images = Sequence[Float[Tensor, "b *any"]]
Features = Sequence[Float[Tensor, "b ..."]]  # one tensor for each layer


def real_bce(logits: Patches) -> Logits:
    """Binary cross-entropy of the label "real": -log D with D = sigmoid(logit)."""
    return mean_over_patches(F.softplus(-to_float32(logits)))


def fake_bce(logits: Patches) -> Logits:
    """Binary cross-entropy of the label "fake": -log(1 - D) with D = sigmoid(logit)."""
    return mean_over_patches(F.softplus(to_float32(logits)))


def mean_over_patches(values: Patches) -> Logits:
    """The mean over an image's patches: a critic of patches sees many images in one."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


class AdversarialLoss:
    """A critic's loss and a generator's loss, for one or several kinds of fakes.

    Parameters
    ----------
    weights : weight of each kind of fake, by name; methods take the logits of fakes in this order
    """

    def __init__(self, weights: Mapping[str, float] | None = None):
        self.weights = weights or {"fake": 1.0}

    def sum_kinds(self, values: Iterable[Tensor]) -> Tensor:
        """The weighted sum of one tensor for each kind of fake."""
        pairs = zip(self.weights.values(), values, strict=True)
        return torch.stack([weight * value for weight, value in pairs]).sum(0)


class NonSaturating(AdversarialLoss):
    """The non-saturating loss: the generator descends -log D(fake).

    Goodfellow et al. 2014, arXiv 1406.2661, section 3.
    """

    relativistic = False

    def critic_terms(self, real: Patches, *fakes: Patches) -> Terms:
        """One term for real images and one for each kind of fake."""
        kinds = zip(self.weights.items(), fakes, strict=True)
        fake_terms = {kind: Term(weight, fake_bce(x), Role.CRITIC) for (kind, weight), x in kinds}
        return {"real": Term(1.0, real_bce(real), Role.CRITIC), **fake_terms}

    def generator_loss(self, real: Patches | None, *fakes: Patches) -> Logits:
        return self.sum_kinds(real_bce(fake) for fake in fakes)


class Relativistic(AdversarialLoss):
    """The relativistic pairing loss: each fake is compared with one real image.

    Huang et al. 2024, arXiv 2501.05441, equation 2, after Jolicoeur-Martineau 2018, arXiv
    1807.00734. The generator descends the mirror image of the critic's loss.
    """

    relativistic = True

    def critic_terms(self, real: Patches, *fakes: Patches) -> Terms:
        """One term: the weighted sum over the kinds of fakes."""
        losses = (real_bce(to_float32(real) - to_float32(x)) for x in fakes)
        return {"pair": Term(1.0, self.sum_kinds(losses), Role.CRITIC)}

    def generator_loss(self, real: Patches | None, *fakes: Patches) -> Logits:
        assert real is not None
        return self.sum_kinds(real_bce(to_float32(x) - to_float32(real)) for x in fakes)


def gradient_penalty(logits: Logits, images: Float[Tensor, "b c h w"]) -> Logits:
    """Zero-centred gradient penalty, |d logit / d image|^2 / 2: R1 on real images, R2 on fakes.

    Mescheder et al. 2018, arXiv 1801.04406, equation 9, without its gamma. The result is
    differentiable. A logit must depend on its own image only: with BatchNorm in the critic, the
    gradient of the sum of logits is not the gradient of one logit.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return 0.5 * to_float32(gradient).square().flatten(1).sum(1)


def with_known_gradient(value: Logits, outputs: Images, gradients: Images) -> Logits:
    """`value` with a linear surrogate graph: its sum has `gradients` at `outputs`.

    The backward pass of the result skips the network that computed `value`.
    """
    pairs = zip(outputs, gradients, strict=True)
    products = [(to_float32(x) * gradient).flatten(1).sum(1) for x, gradient in pairs]
    inner = torch.stack(products).sum(0)
    return value.detach() + (inner - inner.detach())


def feature_matching_loss(fake: Features, real: Features) -> Float[Tensor, " b"]:
    """Feature matching: half the mean squared distance within a layer, summed over layers.

    In nats per image, for each layer the negative log-likelihood of a Gaussian of unit variance
    around the real image's features (Larsen et al. 2016, arXiv 1512.09300, equation 7), divided by
    the number of features. Without the division the first layer, the largest, would dominate.
    """
    gaps = [to_float32(a - b.detach()) for a, b in zip(fake, real, strict=True)]
    # no flattening: maps with channels last would be copied
    return 0.5 * torch.stack([(x * x).mean(tuple(range(1, x.ndim))) for x in gaps]).sum(0)
