"""The diagonal Gaussian, the posterior that encoders return."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.tensors import Latents, PerImage, to_float32


class DiagonalGaussian(NamedTuple):
    """N(mean, exp(logvar)) for each image, over vectors (b, d) or maps (b, d, h, w).

    Parameters
    ----------
    mean : Tensor
        means (b, *latent)
    logvar : Tensor
        logarithms of the variances (b, *latent)

    Examples
    --------
    >>> import latentia, torch
    >>> posterior = latentia.DiagonalGaussian(torch.ones(3, 2), torch.zeros(3, 2))
    >>> posterior.kl()
    tensor([1., 1., 1.])
    """

    mean: Latents
    logvar: Latents

    @classmethod
    def from_heads(cls, heads: Float[Tensor, "b two_d *space"]) -> "DiagonalGaussian":
        """Split an encoder's output along dimension 1: means, then log-variances.

        The result is float32 whatever the network's precision: exp and the rate's sums need it.
        """
        mean, logvar = to_float32(heads).chunk(2, dim=1)
        return cls(mean, logvar)

    @property
    def sd(self) -> Latents:
        return (0.5 * self.logvar).exp()

    def sample(self, noise: Latents) -> Latents:
        """Draw mean + sd * noise, reparameterised; Kingma & Welling 2014, equation 4."""
        return torch.addcmul(self.mean, self.sd, noise)

    def kl_per_dim(self) -> Latents:
        """KL(self || N(0, I)) per latent dimension, nats; Kingma & Welling 2014, appendix B."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar)

    def kl(self) -> PerImage:
        """KL(self || N(0, I)), nats per image."""
        return self.kl_per_dim().flatten(1).sum(1)

    def log_prob(self, z: Latents) -> PerImage:
        """Log density at z, nats per image."""
        squared_distance = (z - self.mean).square() * (-self.logvar).exp()
        return -0.5 * (squared_distance + self.logvar + LOG_2PI).flatten(1).sum(1)

    def log_ratio(self, z: Latents) -> PerImage:
        """Log ratio of this density to that of N(0, I) at z, nats; its mean over draws is `kl`."""
        squared_distance = (z - self.mean).square() * (-self.logvar).exp()
        return 0.5 * (z.square() - squared_distance - self.logvar).flatten(1).sum(1)


LOG_2PI = 1.8378770664093453
