"""The variational autoencoder: Kingma & Welling 2014, arXiv 1312.6114."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from latentia.core.contract import Batch, Player, Role, StepContext, Term, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.missing import average_pixels, get_mask, keep_missing
from latentia.core.posterior import Posterior, at_draw, draw_latents
from latentia.core.prior import Prior, transform_rows
from latentia.core.schedules import Schedule, constant
from latentia.core.seeding import noise, sample_normal_rows, uniform
from latentia.core.tensors import (
    CHUNK_ROWS,
    ImageTensor,
    Latents,
    PerImage,
    check_tensor,
    max_batch_size,
)
from latentia.losses.divergences import Divergence, kl
from latentia.losses.likelihoods import Likelihood
from latentia.models.conditional import ConditionalModel
from latentia.models.supervision import Supervision
from latentia.nets.beta_conditioning import BetaEmbedding
from latentia.nets.column_condition import draw_images, split_rows, use_columns, with_columns

BETA_ONE = constant(1.0)
PosteriorFactory = Callable[[Tensor], Posterior]  # from an encoder's output


class VAE(ConditionalModel):
    """Variational autoencoder: distortion + beta * rate, both in nats per image.

    beta 1 gives the negative ELBO.

    Parameters
    ----------
    encoder : nn.Module
        images (b, c, h, w) in [0, 1] to the posterior's parameters, with `image_shape` and
        `latent_shape`; those of a diagonal Gaussian are (b, 2 d, ...), means then log-variances
    decoder : nn.Module
        latents to the likelihood's raw output
    likelihood : Likelihood
        p(image | latents)
    beta : callable
        weight of the rate, a schedule over the run
    posterior : callable
        encoder's output to a `Posterior`; it may be a module, which is then trained, and a `Prior`

    Attributes
    ----------
    divergence : callable
        the terms that beta multiplies (default: the rate)
    supervision : Supervision or None
        loss terms of labels, predicted from the posterior mean
    dial : BetaEmbedding or None
        condition of the networks on beta; training then draws a beta for each image
    condition : ColumnCondition or None
        condition of the networks on a label column, as in `ConditionalModel`

    Examples
    --------
    >>> import latentia
    >>> from latentia.nets.mlp import MLPDecoder, MLPEncoder
    >>> nets = MLPEncoder((1, 8, 8), 4, (32,)), MLPDecoder(4, (1, 8, 8), (32,))
    >>> latentia.VAE(*nets, latentia.Bernoulli()).sample(2).shape
    torch.Size([2, 1, 8, 8])
    """

    leaves_out_missing = True
    divergence: Divergence
    supervision: Supervision | None
    dial: BetaEmbedding | None

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        beta: Schedule = BETA_ONE,
        posterior: PosteriorFactory = DiagonalGaussian.from_heads,
    ):
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.beta, self.posterior, self.divergence = beta, posterior, kl
        self.supervision, self.dial = None, None
        self.image_shape: tuple[int, ...] = tuple(encoder.image_shape)  # pyright: ignore
        self.latent_shape: tuple[int, ...] = tuple(encoder.latent_shape)  # pyright: ignore

    @property
    def prior(self) -> Prior | None:
        """The prior of the latents; None: N(0, I)."""
        return self.posterior if isinstance(self.posterior, Prior) else None

    def players(self) -> dict[str, Player]:
        return {"vae": Player(self, self.terms)}

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        images = self.observe(batch, context)
        with self.use_conditions(batch, context):
            posterior = self.encode(images)
            z = posterior.sample(noise(context, "posterior", self.latent_shape, posterior.mean))
            distortion = self.likelihood.nll(self.decoder(z), images)
            return self.objective_terms(batch, context, posterior, z, distortion)

    @contextmanager
    def use_conditions(self, batch: Batch, context: StepContext) -> Iterator[None]:
        """Use the label and a random beta of each image in the block, if the networks need them."""
        dial = self.dial
        betas = dial.use_betas(dial.sample_betas(context, batch.image)) if dial else nullcontext()
        with use_columns(self, batch.columns), betas:
            yield

    def objective_terms(
        self,
        batch: Batch,
        context: StepContext,
        posterior: Posterior,
        z: Latents,
        distortion: PerImage,
    ) -> Terms:
        """Return the terms of a forward pass: distortion, beta * divergence, supervision."""
        beta = context.number(lambda now: self.beta(now.progress))
        posterior = at_draw(posterior, z)
        divergence = self.divergence(posterior, z, context)
        if self.dial and self.dial.row_betas is not None:
            beta = beta * self.dial.row_betas
        terms = {"distortion": Term(1.0, distortion, Role.RECONSTRUCTION)}
        terms |= {k: term._replace(weight=beta * term.weight) for k, term in divergence.items()}
        return terms | self.supervision_terms(posterior, batch)

    def supervision_terms(self, posterior: Posterior, batch: Batch) -> Terms:
        """Supervised loss terms, cross-entropy or Gaussian, nats per image; {} without labels."""
        return self.supervision(posterior.mean, batch) if self.supervision else {}

    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Measure the scale of numeric labels, if there is supervision."""
        if self.supervision:
            self.supervision.measure_labels(batches)
        return {}

    def metadata(self) -> dict[str, Any]:
        return self.likelihood.metadata()

    def observe(self, batch: Batch, context: StepContext) -> ImageTensor:
        """Return the images as the likelihood observes them."""
        return self.likelihood.observe(batch.image, context)

    def encode(self, images: ImageTensor) -> Posterior:
        """Encode images to posteriors q(z | image).

        Parameters
        ----------
        images : Tensor
            Images (b, c, h, w) in [0, 1], of the encoder's shape.

        Returns
        -------
        Posterior
            Distribution of each image's latents, with means (b, *latent_shape).

        Raises
        ------
        Error
            In evaluation mode, if the images have another shape, type or range.
        """
        if not self.training:
            check_tensor(images, self.image_shape, "images")
            images = images.to(next(self.parameters()))
        return self.posterior(self._apply_in_batches(self.compute_heads, images))

    def compute_heads(self, images: ImageTensor) -> Tensor:
        """Return the parameters of the posteriors of a batch of images."""
        return self.encoder(images)

    def _apply_in_batches(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a network in batches that fit into memory; not in training, or with row betas."""
        has_betas = self.dial and self.dial.row_betas is not None
        if self.training or has_betas or torch.compiler.is_compiling():
            return function(x)
        size = max_batch_size(self.image_shape, CHUNK_ROWS)
        return torch.cat([function(chunk) for chunk in split_rows(self, x, size)])

    def decode(self, z: Latents) -> ImageTensor:
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
        with self.use_target():
            return self._apply_in_batches(lambda x: self.likelihood.mean(self.decoder(x)), z)

    def distortion(self, z: Latents, images: ImageTensor) -> PerImage:
        """-log p(image | z), nats per image (b,)."""
        return self.likelihood.nll(self.decoder(z), images.to(z))

    def score_latents(self, z: Latents, images: ImageTensor) -> dict[str, PerImage]:
        """Distortion and its excess in nats, and mean squared error per pixel, of decoded latents.

        The excess is the distortion above that of a perfect reconstruction, if that is known.
        """
        output, images = self.decoder(z), images.to(z)
        mse = average_pixels((self.likelihood.mean(output) - images).square(), self.likelihood.mask)
        distortion, lowest = self.likelihood.nll(output, images), self.likelihood.lowest_nll(images)
        excess = {} if lowest is None else {"excess": distortion - lowest}
        return {"distortion": distortion, **excess, "mse": mse}

    def reconstruct(self, images: ImageTensor, seed: int | None = None) -> ImageTensor:
        """Decode the posterior means of images or, with a seed, posterior draws.

        Missing pixels stay as they are.
        """
        posterior = self.encode(images)
        z, shape = posterior.mean, self.latent_shape
        if seed is not None:
            eps = sample_normal_rows(len(images), shape, seed=seed, purpose="reconstruct")
            z = posterior.sample(eps.to(z))
        return keep_missing(self.decode(z), images, get_mask(self))

    def sample(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, temperature: float = 1.0
    ) -> ImageTensor:
        """Decode n draws from the prior to expected images (n, c, h, w) in [0, 1].

        cond: label of each image, or of all; by default as often as in the training images.
        temperature: factor of the prior's standard deviations.
        """
        with self.use_labels(n, seed, cond):
            z = self.draw_latents(n, seed=seed, temperature=temperature)
            return draw_images(self, z)

    def draw_latents(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, temperature: float = 1.0
    ) -> Latents:
        """Return the latents that `sample` decodes."""
        z = temperature * sample_normal_rows(n, self.latent_shape, seed=seed, purpose="prior")
        return transform_rows(self.prior, z.to(next(self.parameters())), seed)

    def draw_step_prior(self, like: Latents, context: StepContext) -> Latents:
        """Draw as many latents of the prior as `like` has rows, for a step of the training."""
        eps = noise(context, "prior", self.latent_shape, like)
        if self.prior is None:
            return eps
        return self.prior.transform(eps, uniform(context, "component", like))

    @with_columns
    def score(self, batch: Batch, context: StepContext) -> dict[str, PerImage]:
        """Compute the negative ELBO (beta 1, one draw per image), its parts and the squared error.

        If the networks depend on beta, also compute the objective over the range of betas, which
        selects the weights.
        """
        batch = batch._replace(image=self.observe(batch, context))
        scores = self._score_batch(batch, context)
        if self.dial:
            with self.use_conditions(batch, context):
                parts = self._score_batch(batch, context)
            beta = self.dial.sample_betas(context, batch.image)  # the same draws
            scores["over betas"] = parts["distortion"] + beta * parts["rate"]
        return scores

    def _score_batch(self, batch: Batch, context: StepContext) -> dict[str, PerImage]:
        return self.score_posterior(self.encode(batch.image), batch, context)

    def score_posterior(
        self, posterior: Posterior, batch: Batch, context: StepContext
    ) -> dict[str, PerImage]:
        """Score a draw from the posteriors of images, and their rates."""
        eps = noise(context, "score", self.latent_shape, posterior.mean)
        z, posterior = draw_latents(posterior, eps)
        scores, rate = self.score_latents(z, batch.image), posterior.kl()
        distortion, scores["mse_draws"] = scores.pop("distortion"), scores.pop("mse")
        if self.selection_metric == "objective":  # without a bound that could select the weights
            terms = self.divergence(posterior, z, context).values()
            cost = sum(term.weight * term.value for term in terms)
            scores["objective"] = distortion + self.beta(1.0) * cost
        return {"nelbo": distortion + rate, "distortion": distortion, "rate": rate, **scores}
