"""Latent diffusion: a learned prior of an autoencoder; Rombach et al. 2022, arXiv 2112.10752."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from latentia.core.contract import Batch, HasLatents, Model, Player, Role, StepContext, Term, Terms
from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.posterior import Posterior, map_tensors
from latentia.core.seeding import batch_permutation, noise, sample_normal_rows, uniform
from latentia.core.tensors import (
    ImageTensor,
    Latents,
    PerImage,
    map_chunks,
    to_float32,
    to_float64,
)
from latentia.diffusion.guidance import apply_guidance
from latentia.diffusion.path import Path, broadcast_coefficients
from latentia.diffusion.registry import SAMPLERS
from latentia.diffusion.samplers import StepNoise, time_grid
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.diffusion.target import DenoisedEstimate, to_estimate, to_prediction, training_target
from latentia.models.pixels import Pixels
from latentia.nets.column_condition import draw_images
from latentia.nets.conditioning import Condition, draw_labels, expand_condition

# columns of `setup`; no column of a data set has these names
POSTERIOR_COLUMN = "posterior {}"  # one for each tensor of the posteriors
CLUSTER_COLUMN = "group of latents"


class LatentDiffusion(Model):
    """Diffusion model of an autoencoder's standardised latents, or of pixels.

    The loss is 1/2 |prediction - target|^2 over posterior draws at uniform times t, a re-weighted
    bound on the latents' likelihood (Ho et al. 2020, arXiv 2006.11239, section 3.4).

    Parameters
    ----------
    autoencoder : a trained model with latents, frozen, and not part of the state; or None, to
        sample pixels (Ho et al. 2020)
    denoiser : (z_t, t, condition or None) to the path's target, in the shape of the latents
    path : path from data to noise
    condition : encoder of the values of `column`
    column : column of the condition; CLUSTER_COLUMN: k-means (Hu et al. 2023, arXiv 2210.06462)
    drop_probability, guidance : share of conditions dropped in training; default of `sample`

    Examples
    --------
    >>> import latentia
    >>> from latentia.recipes.latent_prior import latent_prior
    >>> run = latentia.load("runs/digits")
    >>> isinstance(latent_prior(run.images, run.model, clusters=0).model, latentia.LatentDiffusion)
    True
    """

    selection_metric = None
    autoencoder: Any  # not registered: its weights are in the run's copy of the autoencoder's run
    latent_mean: Tensor
    latent_sd: Tensor
    shares: Tensor
    centres: Tensor

    def __init__(
        self,
        autoencoder: nn.Module | None,
        denoiser: nn.Module,
        path: Path,
        condition: Condition | None = None,
        column: str | None = None,
        drop_probability: float = 0.1,
        guidance: float = 1.0,
    ):
        super().__init__()
        autoencoder = autoencoder or Pixels(denoiser.latent_shape)  # pyright: ignore
        self.__dict__["autoencoder"] = autoencoder.eval().requires_grad_(False)  # pyright: ignore
        self.denoiser, self.condition = denoiser, condition
        self.path, self.column, self.drop_probability = path, column, drop_probability
        self.sampling = SamplingOptions(guidance=guidance)
        self.num_classes = count = condition.num_classes if condition is not None else 0
        self.latent_shape: tuple[int, ...] = tuple(autoencoder.latent_shape)  # pyright: ignore
        self.posterior_type: Any = DiagonalGaussian  # what the autoencoder returns, from `setup` on
        self.is_latent = self.leaves_out_missing = isinstance(autoencoder, HasLatents)
        # pixels share their unit: the standard deviation of one that is always black is 0
        unit_shape = self.latent_shape if self.is_latent else (1,) * len(self.latent_shape)
        self.register_buffer("latent_mean", torch.zeros(unit_shape))
        self.register_buffer("latent_sd", torch.ones(unit_shape))
        self.register_buffer("shares", torch.full((count,), 1 / max(count, 1)))
        centres = torch.zeros(count, math.prod(self.latent_shape))
        self.register_buffer("centres", centres if column == CLUSTER_COLUMN else None)

    def _apply(self, fn: Any, recurse: bool = True) -> "LatentDiffusion":
        self.autoencoder._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def players(self) -> dict[str, Player]:
        parts = {"denoiser": self.denoiser, "condition": self.condition}
        return {"denoiser": Player(nn.ModuleDict(parts), self.terms)}  # pyright: ignore

    @torch.no_grad()
    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Encode the training images; fit the standardisation and the clusters of their latents."""
        posteriors, labels = [], []
        for batch in batches:
            posteriors.append(self.autoencoder.encode(batch.image))
            if self.num_classes and self.column != CLUSTER_COLUMN:
                labels.append(batch.columns[self.column or ""])
        self.posterior_type = type(posteriors[0])
        posterior = self.posterior_type(*map(torch.cat, zip(*posteriors, strict=True)))
        mean, dims = posterior.mean, 0 if self.is_latent else None
        self.latent_mean.copy_(mean.mean(dims))
        # variance of the aggregate posterior: between images, plus within images if it is known
        variance = to_float64(mean).var(dims, correction=0)
        if hasattr(posterior, "sd"):
            variance = map_tensors(to_float64, posterior).sd.square().mean(dims) + variance
        self.latent_sd.copy_(variance.sqrt().masked_fill(variance == 0, 1.0))
        names = map(POSTERIOR_COLUMN.format, posterior._fields if self.is_latent else ())
        columns = dict(zip(names, posterior, strict=False))
        if self.column == CLUSTER_COLUMN:
            from sklearn.cluster import MiniBatchKMeans  # its import takes a second

            points = self.standardize(mean).flatten(1).cpu().double().numpy()
            kmeans = MiniBatchKMeans(self.num_classes, random_state=0).fit(points)
            self.centres.copy_(torch.from_numpy(kmeans.cluster_centers_))
            columns[CLUSTER_COLUMN] = self.assign_cluster(mean)
            labels = [columns[CLUSTER_COLUMN]]
        if labels:
            numbers = torch.cat(labels)
            counts = torch.bincount(numbers[numbers >= 0], minlength=self.num_classes)
            self.shares.copy_(counts / counts.sum())
        return columns

    @torch.no_grad()
    def encode_frozen(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Return the posteriors of images, as columns; nothing for pixels."""
        posteriors = [self.autoencoder.encode(batch.image) for batch in batches if self.is_latent]
        names = map(POSTERIOR_COLUMN.format, self.posterior_type._fields)
        return dict(zip(names, map(torch.cat, zip(*posteriors, strict=True)), strict=False))

    def standardize(self, z: Latents) -> Latents:
        """Subtract the latents' mean and divide by their standard deviation."""
        return (z - self.latent_mean) / self.latent_sd

    def assign_cluster(self, mean: Latents) -> Int64[Tensor, " b"]:
        """Return the index of the nearest cluster centre."""
        return torch.cdist(self.standardize(mean).flatten(1), self.centres).argmin(1)

    def metadata(self) -> dict[str, Any]:
        pairs = ("mean", self.latent_mean), ("sd", self.latent_sd)
        return {"latents": {k: [round(x, 5) for x in v.flatten().tolist()] for k, v in pairs}}

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        error = self.sample_denoising_error(batch, context, "train", self.drop_probability)[1]
        return {"denoising": Term(1.0, error, Role.BOUND)}

    def score(self, batch: Batch, context: StepContext) -> dict[str, PerImage]:
        """Compute the training objective without dropped conditions."""
        return {"denoising": self.sample_denoising_error(batch, context)[1]}

    def sample_denoising_error(
        self, batch: Batch, context: StepContext, purpose: str = "score", drop: float = 0.0
    ) -> tuple[PerImage, PerImage]:
        """Draw a time for each image; return the times and 1/2 |prediction - target|^2 there."""
        posterior = self.encode_batch(batch)
        z = self.sample_latents(posterior, context, purpose)
        eps = noise(context, f"{purpose}/noise", self.latent_shape, z)
        # stratified: the batch covers all times, each image's uniform (Kingma et al. 2021,
        # arXiv 2107.00630, appendix I.1); in (0, 1], since a path's velocity may be infinite at 0;
        # permuted, since images in the order of their classes would tie a class to its times
        strata = batch_permutation(context, f"{purpose}/stratum", z)
        offset = uniform(context._replace(first_row=0), f"{purpose}/time", z)[0]
        t = 1 - (offset + strata / max(context.global_batch_size, len(z))) % 1
        keep_mask = uniform(context, f"{purpose}/drop", z) >= drop
        coeffs, embedding = broadcast_coefficients(self.path.coefficients(t), z), None
        if self.condition is not None:
            cond = batch.columns.get(self.column or "")
            cond = self.assign_cluster(posterior.mean) if cond is None else cond
            if self.num_classes:  # an image without a label has no condition
                keep_mask, cond = keep_mask & (cond >= 0), cond.clamp(min=0)
            embedding = self.condition(cond, keep_mask)
        prediction = self.predict(coeffs.alpha * z + coeffs.sigma * eps, t, embedding)
        target = training_target(self.path.target, DenoisedEstimate(z, eps), coeffs)
        return t, 0.5 * (prediction - target).square().flatten(1).sum(1)

    def encode_batch(self, batch: Batch) -> Posterior:
        """Return the posteriors of a batch, which `setup` has encoded for training images."""
        names = [POSTERIOR_COLUMN.format(name) for name in self.posterior_type._fields]
        if names[0] not in batch.columns:
            return self.autoencoder.encode(batch.image)
        return self.posterior_type(*(batch.columns[name] for name in names))

    def sample_latents(self, posterior: Posterior, context: StepContext, purpose: str) -> Latents:
        """Draw standardised latents from posteriors."""
        eps = noise(context, f"{purpose}/posterior", self.latent_shape, posterior.mean)
        return self.standardize(posterior.sample(eps))

    def predict(
        self, z: Latents, t: PerImage, embedding: Float[Tensor, "b width"] | None = None
    ) -> Latents:
        """Predict the path's target, noise or velocity, in float32."""
        output = to_float32(self.denoiser(z, t, embedding))
        coeffs = broadcast_coefficients(self.path.coefficients(t), z)
        return to_prediction(self.path.target, output, z, coeffs)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: SamplingOptions | None = None,
    ) -> ImageTensor:
        """Draw n images (n, c, h, w) in [0, 1] from the learned prior; see `Model.sample`.

        By default labels have the frequencies of the training images, and an image condition is
        dropped. Raises: Error if the model cannot take the condition
        """
        z = self.draw_latents(n, seed=seed, cond=cond, sampling=sampling)
        return draw_images(self.autoencoder, z)

    def draw_latents(self, n: int, **options: Any) -> Latents:
        """Return the latents that `sample` decodes: the last step, since all take gigabytes."""
        (z,) = deque(self.sample_trajectory(n, **options), maxlen=1)
        return z

    def sample_trajectory(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: SamplingOptions | None = None,
    ) -> Iterator[Latents]:
        """Yield the latents from pure noise on, after each sampling step."""
        options = sampling or self.sampling
        cond = self.resolve_condition(n, seed, cond)
        options = replace(options, guidance=options.guidance if cond is not None else 0.0)

        def draw_noise(purpose: str) -> Tensor:
            rows = sample_normal_rows(n, self.latent_shape, seed=seed, purpose=purpose)
            return rows.to(self.latent_mean)

        embeddings = self.condition_embeddings(n, cond)
        return self.denoise_steps(
            draw_noise("prior"), embeddings, options, lambda step: draw_noise(f"prior/{step}")
        )

    def denoise_steps(
        self, z: Latents, embeddings: Tensor | None, options: SamplingOptions, step_noise: StepNoise
    ) -> Iterator[Latents]:
        """Yield the trajectory of `sample_trajectory` that starts at the noise z."""

        def predict(z: Tensor, t: Tensor, keep_mask: Tensor) -> Tensor:
            if embeddings is None:
                return map_chunks(self.predict, z, t)
            # guidance may stack the batch twice, with and without the condition
            rows = embeddings.repeat(z.shape[0] // embeddings.shape[0], 1)
            vectors = self.condition.mask_condition(rows, keep_mask)  # pyright: ignore
            return map_chunks(self.predict, z, t, vectors)

        predict_guided, path = apply_guidance(predict, options.guidance), self.path

        def denoise(z: Tensor, t: float) -> DenoisedEstimate:
            times = torch.full((z.shape[0],), t, device=z.device, dtype=z.dtype)
            coeffs = broadcast_coefficients(path.coefficients(times), z)
            return to_estimate(path.target, predict_guided(z, times), z, coeffs)

        yield z * self.latent_sd + self.latent_mean
        sampler, grid = SAMPLERS[options.sampler], time_grid(options.steps)
        for z_next in sampler(denoise, path, z, grid, step_noise):
            yield z_next * self.latent_sd + self.latent_mean

    def condition_embeddings(self, n: int, cond: Tensor | None) -> Float[Tensor, "n width"] | None:
        """Encode the conditions of n images; None without a condition."""
        if self.condition is None:
            return None
        return self.condition.empty_vectors(n) if cond is None else map_chunks(self.condition, cond)

    def resolve_condition(self, n: int, seed: int, cond: Tensor | None) -> Tensor | None:
        """Return the condition of each of n images. Raises: Error if the model cannot take it."""
        last = len(self.shares) - 1
        if cond is None:
            if last < 0:
                return None
            return draw_labels(n, seed, self.shares, True)
        if self.condition is None:
            raise Error("This run has no condition; leave --cond out, or train one with --cond.")
        if last >= 0 and not bool(((cond >= 0) & (cond <= last)).all()):
            labels = cond.flatten()[:8].tolist()
            raise Error(f"The condition is {labels}; labels go from 0 to {last}.")
        return expand_condition(cond, n).to(self.latent_mean.device)
