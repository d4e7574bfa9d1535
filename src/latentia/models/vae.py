"""The variational autoencoder: Kingma & Welling 2014, arXiv 1312.6114."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Model, Player, StepContext, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.schedules import Schedule, constant
from latentia.core.seeding import noise, sample_normal_rows
from latentia.core.tensors import check_tensor, max_batch_size
from latentia.losses.divergences import Divergence, kl
from latentia.losses.likelihoods import Likelihood
from latentia.models.supervision import Supervision
from latentia.nets.beta_conditioning import BetaEmbedding

BETA_ONE = constant(1.0)


class VAE(Model):
    """Variational autoencoder: distortion + beta * rate, both in nats per image.

    beta 1 gives the negative ELBO.

    Parameters
    ----------
    encoder : nn.Module
        images (b, c, h, w) in [0, 1] to (b, 2 d, ...), means then log-variances, with `image_shape`
        and `latent_shape`
    decoder : nn.Module
        latents to the likelihood's raw output
    likelihood : Likelihood
        p(image | latents)
    beta : callable
        weight of the rate, a schedule over the run

    Attributes
    ----------
    divergence : callable
        the terms that beta multiplies (default: the rate)
    supervision : Supervision or None
        loss terms of labels, predicted from the posterior mean
    dial : BetaEmbedding or None
        condition of the networks on beta; training then draws a beta for each image

    Examples
    --------
    >>> import latentia
    >>> from latentia.nets.mlp import MLPDecoder, MLPEncoder
    >>> nets = MLPEncoder((1, 8, 8), 4, (32,)), MLPDecoder(4, (1, 8, 8), (32,))
    >>> latentia.VAE(*nets, latentia.Bernoulli()).sample(2).shape
    torch.Size([2, 1, 8, 8])
    """

    divergence: Divergence
    supervision: Supervision | None
    dial: BetaEmbedding | None

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        beta: Schedule = BETA_ONE,
    ):
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.beta, self.divergence = beta, kl
        self.supervision, self.dial = None, None
        self.image_shape: tuple[int, ...] = tuple(encoder.image_shape)  # pyright: ignore
        self.latent_shape: tuple[int, ...] = tuple(encoder.latent_shape)  # pyright: ignore

    def players(self) -> dict[str, Player]:
        return {"vae": Player(self, self.terms)}

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        with self.use_sampled_betas(batch, context):
            posterior = self.encode(batch.image)
            z = posterior.sample(noise(context, "posterior", self.latent_shape, posterior.mean))
            distortion = self.likelihood.nll(self.decoder(z), batch.image)
            return self.objective_terms(batch, context, posterior, z, distortion)

    def use_sampled_betas(self, batch: Batch, context: StepContext) -> AbstractContextManager[None]:
        """Draw a beta for each image and use it in the block, if there is a dial."""
        dial = self.dial
        return dial.use_betas(dial.sample_betas(context, batch.image)) if dial else nullcontext()

    def objective_terms(
        self,
        batch: Batch,
        context: StepContext,
        posterior: DiagonalGaussian,
        z: Float[Tensor, "b *latent"],
        distortion: Float[Tensor, " b"],
    ) -> Terms:
        """Return the terms of a forward pass: distortion, beta * divergence, supervision."""
        beta, divergence = self.beta(context.progress), self.divergence(posterior, z, context)
        if self.dial and self.dial.row_betas is not None:
            beta = beta * self.dial.row_betas
        terms = {"distortion": (1.0, distortion)}
        terms |= {name: (beta * weight, value) for name, (weight, value) in divergence.items()}
        return terms | self.supervision_terms(posterior, batch)

    def supervision_terms(self, posterior: DiagonalGaussian, batch: Batch) -> Terms:
        """Supervised loss terms, cross-entropy or Gaussian, nats per image; {} without labels."""
        return self.supervision(posterior.mean, batch) if self.supervision else {}

    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Measure the scale of numeric labels, if there is supervision."""
        if self.supervision:
            self.supervision.measure_labels(batches)
        return {}

    def encode(self, images: Float[Tensor, "b c h w"]) -> DiagonalGaussian:
        """Encode images to posteriors q(z | image).

        Parameters
        ----------
        images : Tensor
            Images (b, c, h, w) in [0, 1], of the encoder's shape.

        Returns
        -------
        DiagonalGaussian
            Mean and log-variance of each image's latents, (b, *latent_shape).

        Raises
        ------
        Error
            In evaluation mode, if the images have another shape, type or range.
        """
        if not self.training:
            check_tensor(images, self.image_shape, "images")
            images = images.to(next(self.parameters()))
        return DiagonalGaussian.from_heads(self.encoder(images))

    def decode(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b c h w"]:
        """Decode latents to expected images.

        Parameters
        ----------
        z : Tensor
            Latents (b, *latent_shape).

        Returns
        -------
        Tensor
            Images (b, c, h, w) in [0, 1].

        Raises
        ------
        Error
            In evaluation mode, if the latents have another shape or type.
        """
        if not self.training:
            check_tensor(z, self.latent_shape, "latents")
            z = z.to(next(self.parameters()))
        return self.likelihood.mean(self.decoder(z))

    def distortion(
        self, z: Float[Tensor, "b *latent"], images: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, " b"]:
        """-log p(image | z), nats per image (b,)."""
        return self.likelihood.nll(self.decoder(z), images.to(z))

    def reconstruct(
        self, images: Float[Tensor, "b c h w"], seed: int | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Decode the posterior means of images or, with a seed, posterior draws."""
        posterior, shape = self.encode(images), self.latent_shape
        if seed is None:
            return self.decode(posterior.mean)
        eps = sample_normal_rows(len(images), shape, seed=seed, purpose="reconstruct")
        return self.decode(posterior.sample(eps.to(posterior.mean)))

    def sample(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None
    ) -> Float[Tensor, "n c h w"]:
        """Decode n draws from the prior N(0, I) to expected images (n, c, h, w) in [0, 1]."""
        z = sample_normal_rows(n, self.latent_shape, seed=seed, purpose="prior")
        reference = next(self.parameters())
        chunks = z.split(max_batch_size(self.image_shape, 256))
        return torch.cat([self.decode(chunk.to(reference)) for chunk in chunks])

    def score(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        """Compute the negative ELBO (beta 1, one draw per image), its parts and the squared error.

        With a dial also the objective over its range of betas, which selects the weights.
        """
        scores = self._score_batch(batch, context)
        if self.dial:
            with self.use_sampled_betas(batch, context):
                parts = self._score_batch(batch, context)
            beta = self.dial.sample_betas(context, batch.image)  # the same draws
            scores["over betas"] = parts["distortion"] + beta * parts["rate"]
        return scores

    def _score_batch(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        posterior = self.encode(batch.image)
        z = posterior.sample(noise(context, "score", self.latent_shape, posterior.mean))
        output = self.decoder(z)
        distortion, rate = self.likelihood.nll(output, batch.image), posterior.kl()
        mse = (self.likelihood.mean(output) - batch.image).square().flatten(1).mean(1)
        return {"nelbo": distortion + rate, "distortion": distortion, "rate": rate, "mse": mse}
