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

from latentia.core.contract import Batch, HasLatents, Model, Moment, Player, Terms
from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.seeding import noise, normal_rows, places, uniform
from latentia.core.tensors import at_once, wide
from latentia.core.text import counted
from latentia.diffusion.guidance import guided
from latentia.diffusion.path import Path, along
from latentia.diffusion.samplers import SAMPLERS, Fresh, grid
from latentia.diffusion.target import Estimate, completed, understood, wanted
from latentia.nets.conditioning import Condition

# columns of `prepare`, named as no column of any data is
MEAN, LOGVAR, CLUSTER = "posterior mean", "posterior logvar", "group of latents"
PART = 1024  # rows that are denoised at once


@dataclass(frozen=True)
class Sampling:
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

    selected_by = None
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
        drop: float = 0.1,
        sampling: Sampling | None = None,
    ):
        super().__init__()
        assert isinstance(autoencoder, HasLatents)
        self.__dict__["autoencoder"] = autoencoder.eval().requires_grad_(False)  # pyright: ignore
        self.denoiser, self.condition = denoiser, condition
        self.path, self.column, self.drop = path, column, drop
        self.sampling = sampling or Sampling()
        self.classes = condition.classes if condition is not None else 0
        self.latent_shape = tuple(autoencoder.latent_shape)
        self.register_buffer("latent_mean", torch.zeros(self.latent_shape))
        self.register_buffer("latent_sd", torch.ones(self.latent_shape))
        self.register_buffer("shares", torch.full((self.classes,), 1 / max(self.classes, 1)))
        centres = torch.zeros(self.classes, math.prod(self.latent_shape))
        self.register_buffer("centres", centres if column == CLUSTER else None)

    def _apply(self, fn: Any, recurse: bool = True) -> "LatentDiffusion":
        self.autoencoder._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def players(self) -> dict[str, Player]:
        parts = {"denoiser": self.denoiser}
        if self.condition is not None:
            parts["condition"] = self.condition
        return {"denoiser": Player(nn.ModuleDict(parts), self.terms)}

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Encode the training images once; the latents' mean and standard deviation, trap 18."""
        posteriors, labels = [], []
        for batch in batches:
            posteriors.append(self.autoencoder.encode(batch.image))
            if self.classes and self.column != CLUSTER:
                labels.append(batch.columns[self.column or ""])
        mean, logvar = map(torch.cat, zip(*posteriors, strict=True))
        self.latent_mean.copy_(mean.mean(0))
        # of the aggregate posterior: within images and between them
        variance = logvar.double().exp().mean(0) + mean.double().var(0, correction=0)
        self.latent_sd.copy_(variance.sqrt())
        columns = {MEAN: mean, LOGVAR: logvar}
        if self.column == CLUSTER:
            from sklearn.cluster import MiniBatchKMeans  # a second to import

            points = self.standard(mean).flatten(1).cpu().double().numpy()
            groups = MiniBatchKMeans(self.classes, random_state=0).fit(points)
            self.centres.copy_(torch.from_numpy(groups.cluster_centers_))
            columns[CLUSTER] = self.cluster(mean)
            labels = [columns[CLUSTER]]
        if labels:
            counts = torch.bincount(torch.cat(labels), minlength=self.classes)
            self.shares.copy_(counts / counts.sum())
        return columns

    def standard(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b *latent"]:
        """In units of the latents' own mean and standard deviation."""
        return (z - self.latent_mean) / self.latent_sd

    def cluster(self, mean: Float[Tensor, "b *latent"]) -> Int64[Tensor, " b"]:
        """The nearest centre of each."""
        return torch.cdist(self.standard(mean).flatten(1), self.centres).argmin(1)

    def facts(self) -> dict[str, Any]:
        def told(values: Tensor) -> list[float]:
            return [round(value, 5) for value in values.flatten().tolist()]

        return {"latents": {"mean": told(self.latent_mean), "sd": told(self.latent_sd)}}

    def terms(self, batch: Batch, moment: Moment, shared: None = None) -> Terms:
        return {"denoising": (1.0, self.error(batch, moment, "train", self.drop))}

    def score(self, batch: Batch, moment: Moment) -> dict[str, Float[Tensor, " b"]]:
        """The training objective, no condition dropped."""
        return {"denoising": self.error(batch, moment, "score", 0.0)}

    def error(self, batch: Batch, moment: Moment, purpose: str, drop: float) -> Float[Tensor, " b"]:
        """1/2 |predicted - wanted|^2 of each image, at a time of its own."""
        return self.timed_error(batch, moment, purpose, drop)[1]

    def timed_error(
        self, batch: Batch, moment: Moment, purpose: str = "score", drop: float = 0.0
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Each image's time, and its error there."""
        posterior = self.posterior(batch)
        z = self.draw(posterior, moment, purpose)
        eps = noise(moment, f"{purpose}/noise", self.latent_shape, z)
        # stratified: the batch covers all times, each image's uniform (Kingma et al. 2021,
        # arXiv 2107.00630, appendix I.1); in (0, 1], since a path's velocity may be infinite at 0
        rows = places(moment, f"{purpose}/stratum", z)  # sorted folders: no class has early times
        first = uniform(moment._replace(first_row=0), f"{purpose}/time", z)[0]
        t = 1 - (first + rows / max(moment.global_batch, len(z))) % 1
        kept = uniform(moment, f"{purpose}/drop", z) >= drop  # image by image: trap 20
        at = along(self.path.at(t), z)
        told = None
        if self.condition is not None:
            cond = batch.columns.get(self.column or "")
            told = self.condition(self.cluster(posterior.mean) if cond is None else cond, kept)
        said = self.predict(at.alpha * z + at.sigma * eps, t, told)
        gap = said - wanted(self.path.target, Estimate(z, eps), at)
        return t, 0.5 * gap.square().flatten(1).sum(1)

    def posterior(self, batch: Batch) -> DiagonalGaussian:
        """Of each image; encoded only if `prepare` has not done so."""
        if MEAN not in batch.columns:
            return self.autoencoder.encode(batch.image)
        return DiagonalGaussian(batch.columns[MEAN], batch.columns[LOGVAR])

    def draw(
        self, posterior: DiagonalGaussian, moment: Moment, purpose: str
    ) -> Float[Tensor, "b *latent"]:
        """A draw of each, in units of the latents."""
        eps = noise(moment, f"{purpose}/posterior", self.latent_shape, posterior.mean)
        return self.standard(posterior.sample(eps))

    def predict(
        self,
        z: Float[Tensor, "b *latent"],
        t: Float[Tensor, " b"],
        told: Float[Tensor, "b width"] | None = None,
    ) -> Float[Tensor, "b *latent"]:
        """The noise or velocity, float32; told: the condition's vector."""
        output = wide(self.denoiser(z, t, told))
        return completed(self.path.target, output, z, along(self.path.at(t), z))

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """n images drawn through the learned prior.

        cond: one for each image, or one for all; None: labels as often as among the training
        images; where the condition is an image, none.
        """
        # all steps of thousands of images would be gigabytes
        (z,) = deque(self.trajectory(n, seed=seed, cond=cond, sampling=sampling), maxlen=1)
        parts = z.split(at_once(self.autoencoder.image_shape, 256))
        return torch.cat([self.autoencoder.decode(part) for part in parts])

    def trajectory(
        self,
        n: int,
        *,
        seed: int = 0,
        cond: Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> Iterator[Float[Tensor, "n *latent"]]:
        """Latents as the autoencoder knows them, from pure noise, after each step."""
        how = sampling or self.sampling
        z = normal_rows(n, self.latent_shape, seed=seed, purpose="prior").to(self.latent_mean)
        cond = self.asked(n, seed, cond)
        how = replace(how, guidance=how.guidance if cond is not None else 0.0)

        def fresh(step: int) -> Tensor:
            return normal_rows(n, self.latent_shape, seed=seed, purpose=f"prior/{step}").to(z)

        return self.denoised(z, self.vectors(n, cond), how, fresh)

    def denoised(
        self, z: Float[Tensor, "n *latent"], vectors: Tensor | None, how: Sampling, fresh: Fresh
    ) -> Iterator[Float[Tensor, "n *latent"]]:
        """`trajectory`, from this noise; vectors: what the denoiser is told; fresh: later noise."""

        def predict(z: Tensor, t: Tensor, kept: Tensor) -> Tensor:
            if vectors is None:
                return in_parts(self.predict, z, t)
            # twice where guidance asks with and without the condition
            again = vectors.repeat(z.shape[0] // vectors.shape[0], 1)
            told = self.condition.masked(again, kept)  # pyright: ignore
            return in_parts(self.predict, z, t, told)

        ask = guided(predict, how.guidance)

        def denoise(z: Tensor, t: float) -> Estimate:
            time = torch.full((z.shape[0],), t, device=z.device, dtype=z.dtype)
            return understood(self.path.target, ask(z, time), z, along(self.path.at(time), z))

        yield z * self.latent_sd + self.latent_mean
        for after in SAMPLERS[how.sampler](denoise, self.path, z, grid(how.steps), fresh):
            yield after * self.latent_sd + self.latent_mean

    def vectors(self, n: int, cond: Tensor | None) -> Float[Tensor, "n width"] | None:
        """What the denoiser is told for each of n images at every step."""
        if self.condition is None:
            return None
        return self.condition.nothing(n) if cond is None else in_parts(self.condition, cond)

    def asked(self, n: int, seed: int, cond: Tensor | None) -> Tensor | None:
        """The condition of each of n images.

        Raises: Error if one is given that this model cannot take.
        """
        if cond is None:
            if not len(self.shares):
                return None
            draw = normal_rows(n, (), seed=seed, purpose="label").to(self.shares)
            share = torch.special.ndtr(draw)
            return torch.searchsorted(self.shares.cumsum(0), share).clamp_max(len(self.shares) - 1)
        if self.condition is None:
            raise Error("This run knows no condition; leave --cond out, or train one with --cond.")
        if len(self.shares) and not bool(((cond >= 0) & (cond < len(self.shares))).all()):
            raise Error(
                f"The condition is {cond.flatten()[:8].tolist()}; labels go from 0 to "
                f"{len(self.shares) - 1}."
            )
        if len(cond) not in (1, n):
            raise Error(
                f"There are {len(cond)} conditions for {counted(n, 'image')}; give one, or {n}."
            )
        return cond.to(self.latent_mean.device).expand(n, *cond.shape[1:])


def in_parts(ask: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`ask` of PART rows at a time; in a graph that is exported, of all: it knows no number."""
    if torch.compiler.is_compiling():
        return ask(*rows)
    return torch.cat([ask(*part) for part in zip(*(x.split(PART) for x in rows), strict=True)])
