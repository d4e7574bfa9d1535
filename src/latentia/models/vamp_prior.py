"""The VampPrior, a learned mixture of posteriors: Tomczak & Welling 2018, arXiv 1705.07120."""

import math
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.gaussian import LOG_2PI, DiagonalGaussian
from latentia.core.modes import evaluation_mode
from latentia.core.tensors import ImageTensor, Latents, PerImage


class Mixture:
    """The equal mixture of the posteriors of pseudo-inputs, which are encoded at first use."""

    def __init__(self, prior: "VampPrior"):
        self.prior = prior

    @cached_property
    def components(self) -> DiagonalGaussian:
        """Flat posteriors (k, d) of the pseudo-inputs, by the encoder in evaluation mode."""
        encoder = self.prior.encoder
        with evaluation_mode(encoder):  # no statistic of a batch mixes them with images
            heads = encoder(self.prior.pseudo_inputs.clamp(0, 1))
        return DiagonalGaussian(*(x.flatten(1) for x in DiagonalGaussian.from_heads(heads)))

    def log_prob(self, z: Latents) -> PerImage:
        """Log density at z, nats per image; equation 9."""
        mean, logvar = self.components
        squared_distance = (z.flatten(1)[:, None] - mean).square() * (-logvar).exp()
        return average_exp(-0.5 * (squared_distance + logvar + LOG_2PI).sum(2))

    def bound_kl(self, posterior: DiagonalGaussian) -> PerImage:
        """Upper bound on KL(posterior || mixture), nats, by Jensen; Hershey & Olsen 2007."""
        mean, logvar = self.components
        own_mean, own_logvar = (x.flatten(1)[:, None] for x in posterior)
        second_moment = (own_mean - mean).square() + own_logvar.exp()
        kl = 0.5 * (second_moment * (-logvar).exp() - 1 + logvar - own_logvar).sum(2)
        return -average_exp(-kl)


def average_exp(logs: Float[Tensor, "b k"]) -> PerImage:
    """Log of the mean of exp over k."""
    return logs.logsumexp(1) - math.log(logs.shape[1])


class DrawnPosterior(NamedTuple):
    """A posterior whose rate is that of one draw."""

    mean: Latents
    logvar: Latents
    rate: PerImage
    sample = DiagonalGaussian.sample

    def kl(self) -> PerImage:
        return self.rate


class _PosteriorTensors(NamedTuple):
    mean: Latents
    logvar: Latents


class VampPosterior(_PosteriorTensors):
    """Diagonal Gaussian q(z | image) under a mixture as prior, so that no dimension has a rate."""

    mixture: ClassVar[Mixture]  # of the model that encoded: see `VampPrior.forward`
    sd, sample, log_prob = DiagonalGaussian.sd, DiagonalGaussian.sample, DiagonalGaussian.log_prob

    def kl(self) -> PerImage:
        """Upper bound on the KL to the prior, nats per image; `condition(z)` has the rate at z."""
        return self.mixture.bound_kl(DiagonalGaussian(*self))

    def condition(self, z: Latents) -> DrawnPosterior:
        """Return the posterior with its rate at the draw z, whose mean over draws is the KL."""
        return DrawnPosterior(*self, self.log_ratio(z))

    def log_ratio(self, z: Latents) -> PerImage:
        """Log ratio of this density to that of the prior at z, nats, exact."""
        return self.log_prob(z) - self.mixture.log_prob(z)


class VampPrior(nn.Module):
    """p(z) = 1/K sum_k q(z | u_k), with learned pseudo-inputs u_k in the place of images.

    It is also the factory of posteriors of a VAE: they know it as their prior.

    Parameters
    ----------
    encoder : that of the VAE, which trains it
    images : initial pseudo-inputs
    """

    caption = "VampPrior"
    encoder: Any  # not registered here: the VAE trains it

    def __init__(self, encoder: nn.Module, images: ImageTensor):
        super().__init__()
        self.__dict__["encoder"] = encoder
        self.pseudo_inputs = nn.Parameter(images.clone())

    def forward(self, heads: Tensor) -> VampPosterior:
        """Return posteriors, from the encoder's output."""
        # a posterior is a tuple of tensors: its prior belongs to its type
        kind = type("VampPosterior", (VampPosterior,), {"mixture": Mixture(self)})
        return kind(*DiagonalGaussian.from_heads(heads))

    def log_prob(self, z: Latents) -> PerImage:
        """Log density at z, nats per image."""
        return Mixture(self).log_prob(z)

    @torch.no_grad()
    def transform(self, eps: Latents, level: Float[Tensor, " b"]) -> Latents:
        """Map standard normal noise to the component that `level`, uniform in [0, 1), selects."""
        mean, logvar = Mixture(self).components
        k = (level * len(mean)).long().clamp_max(len(mean) - 1)
        z = torch.addcmul(mean[k], (0.5 * logvar[k]).exp(), eps.flatten(1))
        return z.view(eps.shape)
