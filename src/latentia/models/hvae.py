"""The hierarchical VAE with top-down inference: Sønderby et al. 2016, Child 2021."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latentia.core.contract import Batch, Role, StepContext, Term, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.posterior import Posterior
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise
from latentia.core.tensors import Latents, PerImage, to_float32
from latentia.losses.divergences import kl
from latentia.losses.likelihoods import Likelihood
from latentia.models.vae import BETA_ONE, VAE
from latentia.nets.column_condition import with_columns
from latentia.nets.ladder import Features, LadderDecoder


class _PosteriorTensors(NamedTuple):
    mean: Latents
    logvar: Latents
    features: Features


class LadderPosterior(_PosteriorTensors):
    """q(z | image), a Gaussian of each level that depends on the draws of the levels above.

    Mean and log-variance are those of each level given the means of the levels above, and so is
    the KL to the prior; `condition(z)` has it at z.
    """

    decoder: ClassVar[LadderDecoder]  # of the model that encoded: see `HVAE.infer_means`
    sd, kl_per_dim, kl = DiagonalGaussian.sd, DiagonalGaussian.kl_per_dim, DiagonalGaussian.kl

    def sample(self, noise: Latents) -> Latents:
        """Draw the levels from the top down, reparameterised."""
        return self._infer(noise, is_noise=True)[1]

    def condition(self, z: Latents) -> DiagonalGaussian:
        """Return the Gaussians of all levels given the latents above each of them."""
        return self._infer(z, is_noise=False)[0]

    def _infer(self, values: Tensor, is_noise: bool) -> tuple[DiagonalGaussian, Latents, Tensor]:
        features = self.features.expand(len(values), -1)  # one image may have many draws
        return self.decoder.infer(features, values, is_noise=is_noise)

    def log_ratio(self, z: Latents) -> PerImage:
        """Log ratio of this density to that of the prior at z, nats, exact."""
        return self.condition(z).log_ratio(z)


class HVAE(VAE):
    """Hierarchical VAE: p(x | z_1 ... z_L) prod p(z_l | z_<l), with q(z_l | z_<l, x) top down.

    Sønderby et al. 2016, arXiv 1602.02282; Child 2021, arXiv 2011.10650. The latents of all levels
    are one vector, the top level first, each in units of its prior: under the prior the vector is
    N(0, I), and a level's posterior is a residual around its prior. The rate is the sum of the
    levels' KL divergences at the draw.

    Parameters
    ----------
    encoder : nn.Module
        images to the features of their levels, a `LadderEncoder` or `ImageLadderEncoder`
    decoder : LadderDecoder
        latents to the likelihood's raw output, and the posteriors of the levels
    likelihood, beta
        as in `VAE`
    lower_weight : callable, optional
        additional weight of the rate of the levels below the top, a schedule over the run; a large
        one at the start lets the top level learn first. It is not used with another divergence

    Attributes
    ----------
    level_sizes : tuple of int
        number of latents of each level, the top level first

    Examples
    --------
    >>> import latentia
    >>> from latentia.models.hvae import HVAE
    >>> from latentia.nets.ladder import LadderDecoder, LadderEncoder
    >>> sizes = (1, 8, 8), (2, 4, 6), 16
    >>> model = HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), latentia.Bernoulli())
    >>> model.latent_shape, model.level_sizes
    ((12,), (2, 4, 6))
    """

    decoder: LadderDecoder

    def __init__(
        self,
        encoder: nn.Module,
        decoder: LadderDecoder,
        likelihood: Likelihood,
        beta: Schedule = BETA_ONE,
        lower_weight: Schedule | None = None,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.posterior, self.lower_weight = self.infer_means, lower_weight
        self.level_sizes = decoder.level_sizes

    def infer_means(self, features: Features) -> Posterior:
        """Return the posterior of images, from their features."""
        features = to_float32(features)
        zeros = features.new_zeros(features.shape[0], *self.latent_shape)
        given_means, _, _ = self.decoder.infer(features, zeros)
        # a posterior is a tuple of tensors: the network that it draws with belongs to its type
        kind = type("LadderPosterior", (LadderPosterior,), {"decoder": self.decoder})
        return kind(*given_means, features)

    def sum_levels(self, values: Sequence[float]) -> list[float]:
        """Sum a value of each latent dimension, such as its rate, over each level."""
        parts = torch.as_tensor(values, dtype=torch.float64).split(self.level_sizes)
        return [part.sum().item() for part in parts]

    @with_columns
    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        images = self.observe(batch, context)
        eps = noise(context, "posterior", self.latent_shape, images)
        # one pass draws the latents, conditions the posteriors and decodes
        posterior, z, output = self.decoder.infer(self.encoder(images), eps)
        distortion = self.likelihood.nll(output, images)
        terms = self.objective_terms(batch, context, posterior, z, distortion)
        if self.lower_weight and self.divergence is kl:  # another one has weights of its own
            weight = context.number(lambda now: self.lower_weight(now.progress))  # pyright: ignore
            lower_rate = posterior.kl_per_dim()[:, self.level_sizes[0] :].sum(1)
            terms["rate (KL) of lower levels"] = Term(weight, lower_rate, Role.PENALTY)
        return terms
