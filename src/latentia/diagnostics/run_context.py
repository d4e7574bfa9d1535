"""Context of a diagnosis: log, settings, latents and samples of a run, each read at first use."""

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, Model, Role, get_autoencoder
from latentia.core.errors import Error
from latentia.core.missing import get_mask, keep_missing
from latentia.core.seeding import sample_normal_rows
from latentia.data import Images, Split
from latentia.data.splits import evenly_spaced_rows
from latentia.diagnostics.thumbnails import Thumbnails, make_thumbnails
from latentia.latents.encoding import LatentTable, encode_split
from latentia.metrics.coverage import PRDC, measure_pixel_overlap
from latentia.nets.column_condition import split_rows, use_columns
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_metadata
from latentia.training.events import NON_FINITE, ListedImage
from latentia.training.log import read_rows
from latentia.training.plan import Plan
from latentia.training.state import MAX_FAILURES

MAX_ENCODED_PIXELS = 2**21  # a diagnosis takes seconds on large images too
MIN_ENCODED, MAX_ENCODED = 200, 2000  # held-out images to encode, whatever their size
MAX_SAMPLES = 500  # samples, and as many decoded posterior draws
MIN_COVERAGE_IMAGES = 50  # of each kind: the overlap of fewer is too noisy
MAX_DECODED = 100  # posterior means to decode: each gives the error of all its pixels
EARLY_SHARE = 0.25  # share of the run: VAEs begin collapsed, generators begin grey
MIN_STEPS = 300  # by then a VAE has left the mean image; MNIST's recipes take 4,290 and more
MIN_PRIOR_STEPS = 1000  # denoisers begin by predicting 0, and their averaged weights lag behind


class RunContext:
    """A run and the quantities that several checks need; nothing in its folder is changed.

    images: the run's images, if they are already open. data: the present place of its images.
    early: the run is still training, so only its settings and log may be read.
    """

    def __init__(
        self, run: RunFolder, images: Images | None = None, data: Any = None, early: bool = False
    ):
        self.run, self._images, self.data, self.early = run, images, data, early
        self.listed_images: list[ListedImage] = []  # of the findings, too many for the log
        self.suggested_paths: dict[str, Path] = {}  # new folders, by the training in it

    @property
    def parameters(self) -> dict[str, Any]:
        return self.run.metadata["arguments"]

    @cached_property
    def log_rows(self) -> list[dict[str, Any]]:
        return read_rows(self.run.path / "log.jsonl", check=not self.early)

    @cached_property
    def training_rows(self) -> list[dict[str, Any]]:
        return self.select_rows("logged")

    @cached_property
    def validation_rows(self) -> list[dict[str, Any]]:
        return self.select_rows("validated")

    def select_rows(self, event: str) -> list[dict[str, Any]]:
        """Return the rows of an event, without those after the last saved state."""
        last_step = math.inf if self.early else self.state_metadata.get("step", math.inf)
        return [r for r in self.log_rows if r["event"] == event and r["step"] <= last_step]

    @cached_property
    def non_finite_rows(self) -> list[dict[str, Any]]:
        """Findings of steps with a NaN or infinite loss, gradient or weight."""
        findings = [row for row in self.log_rows if row["event"] == "finding"]
        return [row for row in findings if row["kind"] == NON_FINITE]

    @cached_property
    def state_metadata(self) -> dict[str, Any]:
        """The header of the saved state; empty if only the weights were kept."""
        return read_metadata(self.run.state) if self.run.state.exists() else {}

    @property
    def diverged(self) -> bool:
        """Whether the run ended because of steps with NaN or infinite values."""
        return self.state_metadata.get("failures", 0) >= MAX_FAILURES

    @property
    def step(self) -> int:
        last_step = self.training_rows[-1]["step"] if self.training_rows else 0
        return last_step if self.early else self.state_metadata.get("step", last_step)

    @cached_property
    def total_steps(self) -> int:
        """Planned number of steps."""
        if self.training_rows:
            return self.training_rows[-1]["total"]
        return count_steps(self.plan, self.run)

    @property
    def complete(self) -> bool:
        return not self.early and self.state_metadata.get("complete", self.step >= self.total_steps)

    @property
    def is_prior(self) -> bool:
        """Whether the run is a learned prior; by its player, as a run in training is not opened."""
        return "denoiser" in self.run.metadata.get("parameters", {})

    @property
    def starts_fitted(self) -> bool:
        """Whether the run started from a closed form, not at random."""
        return "closed_form" in self.run.metadata

    @property
    def has_few_steps(self) -> bool:
        return 0 < self.total_steps < (MIN_PRIOR_STEPS if self.is_prior else MIN_STEPS)

    @property
    def is_short(self) -> bool:
        """Whether a complete run is near its random start."""
        return self.has_few_steps and not self.starts_fitted

    @property
    def is_near_start(self) -> bool:
        """Whether a low rate may still rise, and equal samples may still become different."""
        return self.step < EARLY_SHARE * self.total_steps

    @property
    def players(self) -> list[str]:
        return list(self.training_rows[-1]["players"]) if self.training_rows else []

    @cached_property
    def plan(self) -> Plan:
        """The plan of the training, without trained weights."""
        self._require_finished_run()
        return self.run.plan(self.run.stored_images)

    @cached_property
    def model(self) -> Model:
        self._require_finished_run()
        # the memory format of the training: convolutions take half the time
        return self.run.model().to(memory_format=torch.channels_last)  # pyright: ignore

    @property
    def autoencoder(self) -> Any:
        """The model with latents: the run's own, or a learned prior's; None if there is none."""
        return get_autoencoder(self.model)

    @property
    def has_latents(self) -> bool:
        """False for a learned prior: the problems of its autoencoder belong to another run."""
        return isinstance(self.model, HasLatents)

    @cached_property
    def parent(self) -> RunFolder | None:
        """The run's copy of the autoencoder run that it was built on."""
        if AUTOENCODER not in self.parameters:
            return None
        return RunFolder.open(self.run.path / AUTOENCODER)

    @cached_property
    def images(self) -> Images:
        """The run's images. Raises: Error if they are not found."""
        self._require_finished_run()
        return self._images or self.run.images(self.data, same=True)

    @cached_property
    def train_thumbnails(self) -> Thumbnails:
        return make_thumbnails(self.images.split("train"))

    @cached_property
    def held_out(self) -> Split:
        """The validation images, never the test images; the training images if there are none."""
        validation = self.images.split("validation")
        return validation if len(validation) else self.images.split("train")

    @property
    def max_images(self) -> int:
        """Number of held-out images to encode; fewer if they are large."""
        fitting = MAX_ENCODED_PIXELS // count_pixels(self.run)
        return min(MAX_ENCODED, max(MIN_ENCODED, fitting))

    def select_images(self, n: int) -> Float[Tensor, "n c h w"]:
        """Return at most n held-out images, evenly spaced."""
        return self.held_out.get_batch(evenly_spaced_rows(len(self.held_out), n)).image

    @cached_property
    def latent_table(self) -> LatentTable:
        """The latents of the held-out images."""
        return encode_split(self.autoencoder, self.held_out, limit=self.max_images)

    @cached_property
    def residual(self) -> tuple[float, float]:
        """Mean squared error of decoded posterior means, and the variance of the pixels."""
        (originals, decoded), images = self.decoded_means, self.select_images(self.max_images)
        variance = (images - images.mean(0)).square().mean()
        return float((decoded - originals).square().mean()), float(variance)

    @cached_property
    def decoded_means(self) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
        """Held-out images, and their decoded posterior means."""
        rows = evenly_spaced_rows(len(self.latent_table.mean), MAX_DECODED)
        images, columns = self.held_out.subsample(self.max_images).get_batch(rows)
        with use_columns(self.autoencoder, columns):
            decoded = self.decode_latents(self.latent_table.mean[rows])
            return images, keep_missing(decoded, images, get_mask(self.autoencoder))

    @property
    def explained_variance(self) -> float:
        """Share of the pixels' variance that reconstructions explain."""
        return 1 - self.residual[0] / self.residual[1]

    @property
    def explanation(self) -> str:
        share = f"reconstructions explain {self.explained_variance:.0%} of the pixels' variance"
        is_worse = self.explained_variance < 0
        return share + " (negative: the mean image is closer to the images)" * is_worse

    @cached_property
    @torch.inference_mode()
    def samples(self) -> Float[Tensor, "n c h w"]:
        split, model = self.held_out, self.model
        n = max(2, min(MAX_SAMPLES, self.max_images, 64 * split.max_batch_size(), len(split)))
        if getattr(model, "condition", None) is None or model.num_classes:
            return model.sample(n, seed=0).cpu()
        # unconditional samples of a model whose condition is an image cannot be compared
        columns = split.get_batch(evenly_spaced_rows(len(split), n)).columns
        condition = columns[model.column]  # pyright: ignore
        return model.sample(len(condition), seed=0, cond=condition).cpu()

    @cached_property
    @torch.inference_mode()
    def posterior_draws(self) -> Float[Tensor, "n c h w"]:
        """Decoded draws, one a posterior of held-out images; without an autoencoder the images."""
        split = self.held_out.subsample(min(MAX_SAMPLES, self.max_images))
        model = self.autoencoder
        if model is None:
            return split[:]
        eps = sample_normal_rows(len(split), model.latent_shape, seed=0, purpose="doctor")
        size, draws = split.max_batch_size(), []
        for batch, noise in zip(split.iterate_batches(size), eps.split(size), strict=True):
            with use_columns(model, batch.columns):
                posterior = model.encode(batch.image)
                draws.append(model.decode(posterior.sample(noise.to(posterior.mean))).cpu())
        return torch.cat(draws)

    @cached_property
    def sample_overlap(self) -> PRDC | None:
        """Overlap of samples and decoded posterior draws; None if they are too few."""
        if min(len(self.samples), len(self.posterior_draws)) < MIN_COVERAGE_IMAGES:
            return None
        return measure_pixel_overlap(self.samples, self.posterior_draws)

    @torch.inference_mode()
    def decode_latents(self, latents: np.ndarray) -> Float[Tensor, "n c h w"]:
        """Decode flat latents (n, d)."""
        z = torch.from_numpy(latents).unflatten(1, tuple(self.autoencoder.latent_shape))
        chunks = split_rows(self.autoencoder, z, self.held_out.max_batch_size())
        return torch.cat([self.autoencoder.decode(chunk).cpu() for chunk in chunks])

    def read_monitor(self, name: str) -> np.ndarray:
        """Return a monitor of every log row; nan if a row has none."""
        return np.array([row["monitors"].get(name, np.nan) for row in self.training_rows])

    def read_gradient_norms(self, player: str) -> np.ndarray:
        """Return the gradient norm of every log row in which the player moved."""
        rows = [row["players"].get(player) for row in self.training_rows]
        return np.array([row["gradient_norm"] for row in rows if row])

    def read_role(self, role: Role, kind: str = "terms") -> np.ndarray:
        """Return the sum of a role's loss terms (or weights) in every log row that has one."""
        players = [player for row in self.training_rows for player in row["players"].values()]
        rows = [[p[kind][k] for k, each in p["roles"].items() if each == role] for p in players]
        return np.array([sum(values) for values in rows if values])

    def read_validation_metric(self, name: str) -> np.ndarray:
        """Return a validation metric of every epoch that has it."""
        rows = [row["values"] for row in self.validation_rows]
        return np.array([row[name] for row in rows if name in row])

    def _require_finished_run(self) -> None:
        if self.early:
            raise Error("The run is still being trained.")


def count_steps(plan: Plan, run: RunFolder) -> int:
    """Count the steps of a plan on the run's images; an epoch drops its last, shorter batch."""
    n = run.metadata["images"]["count"]["train"]
    return plan.epochs * (n // max(1, min(plan.batch, n)))


def count_pixels(run: RunFolder) -> int:
    return math.prod(run.metadata["images"]["shape"])
