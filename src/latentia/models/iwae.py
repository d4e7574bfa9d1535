"""The importance-weighted autoencoder: Burda et al. 2016, arXiv 1509.00519."""

import math

from torch import Tensor, nn

from latentia.core.contract import Batch, Role, StepContext, Term, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.posterior import Posterior, log_ratio, map_tensors
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise
from latentia.core.tensors import ImageTensor, PerImage
from latentia.losses.likelihoods import Likelihood
from latentia.models.vae import BETA_ONE, VAE, PosteriorFactory
from latentia.nets.column_condition import with_columns


class IWAE(VAE):
    """VAE with the bound of equation 8: -log of the mean of k importance weights per image.

    k = 1 is the VAE with its rate in closed form. For larger k, distortion (the mean of k draws)
    and rate are logged at weight 0, and beta multiplies log q(z | image) / p(z) in each weight.

    Parameters
    ----------
    encoder, decoder, likelihood, beta, posterior
        as in `VAE`
    k : int
        number of importance samples, at least 1

    Examples
    --------
    >>> import latentia
    >>> from latentia.nets.mlp import MLPDecoder, MLPEncoder
    >>> nets = MLPEncoder((1, 8, 8), 4, (32,)), MLPDecoder(4, (1, 8, 8), (32,))
    >>> latentia.IWAE(*nets, latentia.Bernoulli(binary=True), k=5).selection_metric
    'bound'
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        beta: Schedule = BETA_ONE,
        k: int = 5,
        posterior: PosteriorFactory = DiagonalGaussian.from_heads,
    ):
        super().__init__(encoder, decoder, likelihood, beta, posterior)
        self.k = k
        self.selection_metric = "nelbo" if k == 1 else "bound"

    @with_columns
    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        if self.k == 1:
            return super().terms(batch, context)
        images = self.observe(batch, context)
        posterior, beta = self.encode(images), context.number(lambda now: self.beta(now.progress))
        bound, distortion = self.bound(images, posterior, context, "posterior", beta)
        return {
            "bound": Term(1.0, bound, Role.BOUND),
            "distortion": Term(0.0, distortion.detach(), Role.RECONSTRUCTION),
            "rate": Term(0.0, posterior.kl().detach(), Role.KL),
        } | self.supervision_terms(posterior, batch)

    def bound(
        self,
        images: ImageTensor,
        posterior: Posterior,
        context: StepContext,
        purpose: str,
        beta: float | Tensor = 1.0,
    ) -> tuple[PerImage, PerImage]:
        """Return minus the bound on log p(image), and the mean distortion, in nats per image."""
        eps = noise(context, purpose, (self.k, *self.latent_shape), posterior.mean).flatten(0, 1)
        posteriors = map_tensors(lambda x: x.repeat_interleave(self.k, 0), posterior)
        z = posteriors.sample(eps)  # (b * k, *latent): the k draws of an image are consecutive
        distortion = self.distortion(z, images.repeat_interleave(self.k, 0))
        ratio = log_ratio(posteriors, z, "The bound of several samples")
        weights = -(distortion + beta * ratio).view(-1, self.k)
        return math.log(self.k) - weights.logsumexp(1), distortion.view(-1, self.k).mean(1)

    @with_columns
    def score(self, batch: Batch, context: StepContext) -> dict[str, PerImage]:
        """Compute a VAE's scores of the observed images, and the bound for k > 1."""
        scores = super().score(batch, context)
        if self.k > 1:
            images = self.observe(batch, context)
            scores["bound"], _ = self.bound(images, self.encode(images), context, "score/bound")
        return scores
