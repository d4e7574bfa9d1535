"""Latent diffusion, a learned prior of an autoencoder; Rombach et al. 2022, arXiv 2112.10752."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float, Int64
from torch import Tensor, nn
from typing_extensions import Doc

from latentia.core.contract import Batch, HasLatents, Model, Player, StepContext, Terms
from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.seeding import batch_permutation, noise, sample_normal_rows, uniform
from latentia.core.tensors import max_batch_size, to_float32
from latentia.core.text import pluralize
from latentia.diffusion.guidance import apply_guidance
from latentia.diffusion.path import Path, broadcast_coefficients
from latentia.diffusion.samplers import SAMPLERS, StepNoise, time_grid
from latentia.diffusion.target import DenoisedEstimate, to_estimate, to_prediction, training_target
from latentia.nets.conditioning import Condition

# columns of `prepare`, named as no column of any data is
MEAN_COLUMN, LOGVAR_COLUMN, CLUSTER_COLUMN = (
    "posterior mean",
    "posterior logvar",
    "group of latents",
)
CHUNK_ROWS = 1024  # rows that are denoised at once


@dataclass(frozen=True)
class SamplingOptions:
    """How noise becomes a latent."""

    sampler: Annotated[Literal["ddpm", "ddim", "euler", "heun"], Doc("of diffusion")] = "heun"
    steps: Annotated[int, Ge(1), Doc("from noise to latent")] = 16
    guidance: Annotated[float, Ge(0), Doc("weight of the condition; 1 as learned, 0 none")] = 1.0


class LatentDiffusion(Model):
    """A denoiser of an autoencoder's latents, in units of their own mean and standard deviation.

    Descends 1/2 |predicted - wanted|^2 over posterior draws, with t uniform: a re-weighted bound on
    the latents' likelihood (Ho et al. 2020, arXiv 2006.11239, section 3.4). The autoencoder is
    frozen, no part of the state, and in evaluation mode always.

    denoiser: (z_t, t, condition or None) -> noise or velocity, with `latent_shape`. condition:
    (values of the column `column`, kept) -> (b, width); each image's is dropped with chance `drop`.
    The classes of the column CLUSTER are groups of latents, by k-means: what guides where there are
    no labels (Hu et al. 2023, "Self-guided diffusion models", arXiv 2210.06462).
    """

    selection_metric = None
    autoencoder: Any  # past registration: its weights lie in the run's copy of its own run
    latent_mean: Tensor
    latent_sd: Tensor
    shares: Tensor
    centres: Tensor

    def __init__(
        self,
        autoencoder: nn.Module,
        denoiser: nn.Module,
        path: Path,
        condition: Condition | None = None,
        column: str | None = None,
        drop_probability: float = 0.1,
        sampling: SamplingOptions | None = None,
    ):
        super().__init__()
        assert isinstance(autoencoder, HasLatents)
        self.__dict__["autoencoder"] = autoencoder.eval().requires_grad_(False)  # pyright: ignore
        self.denoiser, self.condition = denoiser, condition
        self.path, self.column, self.drop_probability = path, column, drop_probability
        self.sampling = sampling or SamplingOptions()
        self.num_classes = condition.num_classes if condition is not None else 0
        self.latent_shape = tuple(autoencoder.latent_shape)
        self.register_buffer("latent_mean", torch.zeros(self.latent_shape))
        self.register_buffer("latent_sd", torch.ones(self.latent_shape))
        self.register_buffer(
            "shares", torch.full((self.num_classes,), 1 / max(self.num_classes, 1))
        )
        centres = torch.zeros(self.num_classes, math.prod(self.latent_shape))
        self.register_buffer("centres", centres if column == CLUSTER_COLUMN else None)

    def _apply(self, fn: Any, recurse: bool = True) -> "LatentDiffusion":
        self.autoencoder._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def players(self) -> dict[str, Player]:
        modules = {"denoiser": self.denoiser}
        if self.condition is not None:
            modules["condition"] = self.condition
        return {"denoiser": Player(nn.ModuleDict(modules), self.terms)}

    @torch.no_grad()
    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Encode the training images once; the latents' mean and standard deviation, trap 18."""
        posteriors, labels = [], []
        for batch in batches:
            posteriors.append(self.autoencoder.encode(batch.image))
            if self.num_classes and self.column != CLUSTER_COLUMN:
                labels.append(batch.columns[self.column or ""])
        mean, logvar = map(torch.cat, zip(*posteriors, strict=True))
        self.latent_mean.copy_(mean.mean(0))
        # of the aggregate posterior: within images and between them
        variance = logvar.double().exp().mean(0) + mean.double().var(0, correction=0)
        self.latent_sd.copy_(variance.sqrt())
        columns = {MEAN_COLUMN: mean, LOGVAR_COLUMN: logvar}
        if self.column == CLUSTER_COLUMN:
            from sklearn.cluster import MiniBatchKMeans  # a second to import

            points = self.standardize(mean).flatten(1).cpu().double().numpy()
            kmeans = MiniBatchKMeans(self.num_classes, random_state=0).fit(points)
            self.centres.copy_(torch.from_numpy(kmeans.cluster_centers_))
            columns[CLUSTER_COLUMN] = self.assign_cluster(mean)
            labels = [columns[CLUSTER_COLUMN]]
        if labels:
            counts = torch.bincount(torch.cat(labels), minlength=self.num_classes)
            self.shares.copy_(counts / counts.sum())
        return columns

    def standardize(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b *latent"]:
        """In units of the latents' own mean and standard deviation."""
        return (z - self.latent_mean) / self.latent_sd

    def assign_cluster(self, mean: Float[Tensor, "b *latent"]) -> Int64[Tensor, " b"]:
        """The nearest centre of each."""
        return torch.cdist(self.standardize(mean).flatten(1), self.centres).argmin(1)

    def metadata(self) -> dict[str, Any]:
        def round_values(values: Tensor) -> list[float]:
            return [round(value, 5) for value in values.flatten().tolist()]

        return {
            "latents": {"mean": round_values(self.latent_mean), "sd": round_values(self.latent_sd)}
        }

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        return {
            "denoising": (1.0, self.denoising_error(batch, context, "train", self.drop_probability))
        }

    def score(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        """The training objective, no condition dropped."""
        return {"denoising": self.denoising_error(batch, context, "score", 0.0)}

    def denoising_error(
        self, batch: Batch, context: StepContext, purpose: str, drop_probability: float
    ) -> Float[Tensor, " b"]:
        """1/2 |predicted - wanted|^2 of each image, at a time of its own."""
        return self.sample_denoising_error(batch, context, purpose, drop_probability)[1]

    def sample_denoising_error(
        self,
        batch: Batch,
        context: StepContext,
        purpose: str = "score",
        drop_probability: float = 0.0,
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Each image's time, and its error there."""
        posterior = self.encode_batch(batch)
        z = self.sample_latents(posterior, context, purpose)
        eps = noise(context, f"{purpose}/noise", self.latent_shape, z)
        # stratified: the batch covers all times, each image's uniform (Kingma et al. 2021,
        # arXiv 2107.00630, appendix I.1); in (0, 1], since a path's velocity may be infinite at 0
        strata = batch_permutation(
            context, f"{purpose}/stratum", z
        )  # sorted folders: no class has early times
        offset = uniform(context._replace(first_row=0), f"{purpose}/time", z)[0]
        t = 1 - (offset + strata / max(context.global_batch_size, len(z))) % 1
        keep_condition = (
            uniform(context, f"{purpose}/drop", z) >= drop_probability
        )  # image by image: trap 20
        coefficients = broadcast_coefficients(self.path.coefficients(t), z)
        condition_embedding = None
        if self.condition is not None:
            cond = batch.columns.get(self.column or "")
            condition_embedding = self.condition(
                self.assign_cluster(posterior.mean) if cond is None else cond, keep_condition
            )
        prediction = self.predict(
            coefficients.alpha * z + coefficients.sigma * eps, t, condition_embedding
        )
        residual = prediction - training_target(
            self.path.target, DenoisedEstimate(z, eps), coefficients
        )
        return t, 0.5 * residual.square().flatten(1).sum(1)

    def encode_batch(self, batch: Batch) -> DiagonalGaussian:
        """Of each image; encoded only if `prepare` has not done so."""
        if MEAN_COLUMN not in batch.columns:
            return self.autoencoder.encode(batch.image)
        return DiagonalGaussian(batch.columns[MEAN_COLUMN], batch.columns[LOGVAR_COLUMN])

    def sample_latents(
        self, posterior: DiagonalGaussian, context: StepContext, purpose: str
    ) -> Float[Tensor, "b *latent"]:
        """A draw of each, in units of the latents."""
        eps = noise(context, f"{purpose}/posterior", self.latent_shape, posterior.mean)
        return self.standardize(posterior.sample(eps))

    def predict(
        self,
        z: Float[Tensor, "b *latent"],
        t: Float[Tensor, " b"],
        condition_embedding: Float[Tensor, "b width"] | None = None,
    ) -> Float[Tensor, "b *latent"]:
        """The noise or velocity, float32; told: the condition's vector."""
        output = to_float32(self.denoiser(z, t, condition_embedding))
        return to_prediction(
            self.path.target, output, z, broadcast_coefficients(self.path.coefficients(t), z)
        )

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """n images drawn through the learned prior.

        cond: one for each image, or one for all; None: labels as often as among the training
        images; where the condition is an image, none.
        """
        # all steps of thousands of images would be gigabytes
        (z,) = deque(self.sample_trajectory(n, seed=seed, cond=cond, sampling=sampling), maxlen=1)
        chunks = z.split(max_batch_size(self.autoencoder.image_shape, 256))
        return torch.cat([self.autoencoder.decode(chunk) for chunk in chunks])

    def sample_trajectory(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: SamplingOptions | None = None,
    ) -> Iterator[Float[Tensor, "n *latent"]]:
        """Latents as the autoencoder knows them, from pure noise, after each step."""
        options = sampling or self.sampling
        z = sample_normal_rows(n, self.latent_shape, seed=seed, purpose="prior").to(
            self.latent_mean
        )
        cond = self.resolve_condition(n, seed, cond)
        options = replace(options, guidance=options.guidance if cond is not None else 0.0)

        def step_noise(step: int) -> Tensor:
            return sample_normal_rows(n, self.latent_shape, seed=seed, purpose=f"prior/{step}").to(
                z
            )

        return self.denoise_steps(z, self.condition_embeddings(n, cond), options, step_noise)

    def denoise_steps(
        self,
        z: Float[Tensor, "n *latent"],
        condition_embeddings: Tensor | None,
        options: SamplingOptions,
        step_noise: StepNoise,
    ) -> Iterator[Float[Tensor, "n *latent"]]:
        """`trajectory`, from this noise; vectors: what the denoiser is told; fresh: later noise."""

        def predict(z: Tensor, t: Tensor, keep_condition: Tensor) -> Tensor:
            if condition_embeddings is None:
                return map_chunks(self.predict, z, t)
            # twice where guidance asks with and without the condition
            embeddings = condition_embeddings.repeat(z.shape[0] // condition_embeddings.shape[0], 1)
            condition_embedding = self.condition.mask_condition(embeddings, keep_condition)  # pyright: ignore
            return map_chunks(self.predict, z, t, condition_embedding)

        predict_guided = apply_guidance(predict, options.guidance)

        def denoise(z: Tensor, t: float) -> DenoisedEstimate:
            times = torch.full((z.shape[0],), t, device=z.device, dtype=z.dtype)
            return to_estimate(
                self.path.target,
                predict_guided(z, times),
                z,
                broadcast_coefficients(self.path.coefficients(times), z),
            )

        yield z * self.latent_sd + self.latent_mean
        for z_next in SAMPLERS[options.sampler](
            denoise, self.path, z, time_grid(options.steps), step_noise
        ):
            yield z_next * self.latent_sd + self.latent_mean

    def condition_embeddings(self, n: int, cond: Tensor | None) -> Float[Tensor, "n width"] | None:
        """What the denoiser is told for each of n images at every step."""
        if self.condition is None:
            return None
        return self.condition.empty_vectors(n) if cond is None else map_chunks(self.condition, cond)

    def resolve_condition(self, n: int, seed: int, cond: Tensor | None) -> Tensor | None:
        """The condition of each of n images.

        Raises: Error if one is given that this model cannot take.
        """
        if cond is None:
            if not len(self.shares):
                return None
            normal = sample_normal_rows(n, (), seed=seed, purpose="label").to(self.shares)
            quantile = torch.special.ndtr(normal)
            return torch.searchsorted(self.shares.cumsum(0), quantile).clamp_max(
                len(self.shares) - 1
            )
        if self.condition is None:
            raise Error("This run knows no condition; leave --cond out, or train one with --cond.")
        if len(self.shares) and not bool(((cond >= 0) & (cond < len(self.shares))).all()):
            raise Error(
                f"The condition is {cond.flatten()[:8].tolist()}; labels go from 0 to "
                f"{len(self.shares) - 1}."
            )
        if len(cond) not in (1, n):
            raise Error(
                f"There are {len(cond)} conditions for {pluralize(n, 'image')}; give one, or {n}."
            )
        return cond.to(self.latent_mean.device).expand(n, *cond.shape[1:])


def map_chunks(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`ask` of PART rows at a time; in a graph that is exported, of all: it knows no number."""
    if torch.compiler.is_compiling():
        return function(*tensors)
    return torch.cat(
        [function(*chunk) for chunk in zip(*(x.split(CHUNK_ROWS) for x in tensors), strict=True)]
    )
