"""The importance-weighted autoencoder: Burda et al. 2016, arXiv 1509.00519."""

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, StepContext, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise, uniform
from latentia.losses.likelihoods import Likelihood
from latentia.models.vae import BETA_ONE, VAE


class IWAE(VAE):
    """VAE with the bound of equation 8: -log of the mean of k importance weights per image.

    k = 1 is the VAE with its rate in closed form. For larger k, distortion (the mean of k draws)
    and rate are logged at weight 0, and beta multiplies log q(z | image) / p(z) in each weight.

    Parameters
    ----------
    encoder, decoder, likelihood, beta
        as in `VAE`
    k : int
        number of importance samples, at least 1
    binary : bool
        whether the model learns black and white images. Grey values are then probabilities of
        white, drawn anew at each training step, and once in evaluation (seed 0 in every run)

    Examples
    --------
    >>> import latentia
    >>> from latentia.nets.mlp import MLPDecoder, MLPEncoder
    >>> nets = MLPEncoder((1, 8, 8), 4, (32,)), MLPDecoder(4, (1, 8, 8), (32,))
    >>> latentia.IWAE(*nets, latentia.Bernoulli(), k=5).selection_metric
    'bound'
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        beta: Schedule = BETA_ONE,
        k: int = 5,
        binary: bool = False,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.k, self.binary = k, binary
        self.selection_metric = "nelbo" if k == 1 else "bound"

    def metadata(self) -> dict[str, Any]:
        description = "training images anew at each step; in evaluation once, by seed 0"
        return {"binarised": description} if self.binary else {}

    def observe(self, batch: Batch, context: StepContext) -> Float[Tensor, "b c h w"]:
        """Return the images, binarised if `binary`."""
        if not self.binary:
            return batch.image
        if self.training:
            quantile = uniform(context, "binarise", batch.image, self.image_shape)
        else:
            context = context._replace(seed=0)
            quantile = uniform(context, "binarise/once", batch.image, self.image_shape)
        return (quantile < batch.image).to(batch.image)

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        batch = batch._replace(image=self.observe(batch, context))
        if self.k == 1:
            return super().terms(batch, context)
        posterior = self.encode(batch.image)
        beta = self.beta(context.progress)
        bound, distortion = self.bound(batch.image, posterior, context, "posterior", beta)
        return {
            "bound": (1.0, bound),
            "distortion": (0.0, distortion.detach()),
            "rate": (0.0, posterior.kl().detach()),
        } | self.supervision_terms(posterior, batch)

    def bound(
        self,
        images: Float[Tensor, "b c h w"],
        posterior: DiagonalGaussian,
        context: StepContext,
        purpose: str,
        beta: float = 1.0,
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Return minus the bound on log p(image), and the mean distortion, in nats per image."""
        eps = noise(context, purpose, (self.k, *self.latent_shape), posterior.mean).flatten(0, 1)
        posteriors = DiagonalGaussian(*(x.repeat_interleave(self.k, 0) for x in posterior))
        z = posteriors.sample(eps)  # (b * k, *latent): the k draws of an image are consecutive
        distortion = self.distortion(z, images.repeat_interleave(self.k, 0))
        weights = -(distortion + beta * posteriors.log_ratio(z)).view(-1, self.k)
        return math.log(self.k) - weights.logsumexp(1), distortion.view(-1, self.k).mean(1)

    def score(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        """Compute a VAE's scores of the observed images, and the bound for k > 1."""
        batch = batch._replace(image=self.observe(batch, context))
        scores = super().score(batch, context)
        if self.k > 1:
            posterior = self.encode(batch.image)
            scores["bound"], _ = self.bound(batch.image, posterior, context, "score/bound")
        return scores
