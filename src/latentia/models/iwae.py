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
    """Descends -log of the mean of k importance weights of each image: the bound of equation 8.

    k = 1 is the VAE, its rate in closed form. For more, distortion (the mean of k draws) and rate
    are shown beside the bound at weight 0, and beta weighs log q(z | image) / p(z) in each weight.

    binary: what is learned are black and white images, of which grey values are the chances of
    white: drawn anew at each training step; in evaluation once, by seed 0, whatever the run's.
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
        """The images; if `binary`, draws of them."""
        if not self.binary:
            return batch.image
        draw_context = context if self.training else context._replace(seed=0)
        purpose = "binarise" if self.training else "binarise/once"
        return (uniform(draw_context, purpose, batch.image, self.image_shape) < batch.image).to(
            batch.image
        )

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        batch = batch._replace(image=self.observe(batch, context))
        if self.k == 1:
            return super().terms(batch, context)
        posterior = self.encode(batch.image)
        bound, distortion = self.bound(
            batch.image, posterior, context, "posterior", self.beta(context.progress)
        )
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
        """Minus the k-draw bound on log p(image), and the mean distortion; nats per image."""
        eps = noise(context, purpose, (self.k, *self.latent_shape), posterior.mean).flatten(0, 1)
        repeated_posterior = DiagonalGaussian(*(x.repeat_interleave(self.k, 0) for x in posterior))
        z = repeated_posterior.sample(eps)  # (b * k, *latent): the k draws of an image in a row
        distortion = self.distortion(z, images.repeat_interleave(self.k, 0))
        weights = -(distortion + beta * repeated_posterior.log_ratio(z)).view(-1, self.k)
        return math.log(self.k) - weights.logsumexp(1), distortion.view(-1, self.k).mean(1)

    def score(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        """As a VAE's, of what is observed; for k > 1 with the bound, which selects the weights."""
        batch = batch._replace(image=self.observe(batch, context))
        scores = super().score(batch, context)
        if self.k > 1:
            posterior = self.encode(batch.image)
            scores["bound"], _ = self.bound(batch.image, posterior, context, "score/bound")
        return scores
