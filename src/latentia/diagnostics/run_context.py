"""A run as its doctor sees it: log, settings, codes and samples, each gathered when first asked."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.errors import Error
from latentia.core.seeding import sample_normal_rows
from latentia.data import Images, Split
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.encoding import LatentTable, encode_split
from latentia.metrics.coverage import PRDC, prdc
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_metadata
from latentia.training.events import NON_FINITE
from latentia.training.log import read_rows
from latentia.training.plan import Plan
from latentia.training.state import MAX_FAILURES

MAX_ENCODED_PIXELS = (
    2**21
)  # that are encoded, at most; so the doctor takes seconds on large images too
MIN_ENCODED_IMAGES, MAX_ENCODED_IMAGES = (
    200,
    2000,
)  # held-out images that are encoded, whatever their size
MAX_SAMPLES = 500  # samples, and as many decoded posterior draws, at most
MAX_DECODED = 100  # posterior means that are decoded: each gives the error of all its pixels
EARLY_SHARE = 0.25  # share of the run: VAEs begin collapsed, generators grey
MIN_STEPS = 300  # by then a VAE has left the mean image; MNIST's recipes take 4,290 and more
MIN_PRIOR_STEPS = 1000  # denoisers begin by saying 0, and their averaged weights lag behind
MAX_COMPONENTS = 32  # principal components of the held-out pixels, in which neighbours are sought


class RunContext:
    """A run, and what was found out of it so far; nothing of its folder is changed.

    images: the run's own, if at hand. early: in training: only settings and log are looked at.
    """

    def __init__(self, run: RunFolder, images: Images | None = None, data: Any = None, early=False):
        self.run, self._images, self._data, self.early = run, images, data, early

    @property
    def parameters(self) -> dict[str, Any]:
        return self.run.metadata["arguments"]

    @cached_property
    def log_rows(self) -> list[dict[str, Any]]:
        return read_rows(self.run.path / "log.jsonl")

    @cached_property
    def training_rows(self) -> list[dict[str, Any]]:
        return self.select_rows("logged")

    @cached_property
    def validation_rows(self) -> list[dict[str, Any]]:
        return self.select_rows("validated")

    def select_rows(self, event: str) -> list[dict[str, Any]]:
        """Rows of an event; after a kill, those of the steps that the weights have taken."""
        matches = [row for row in self.log_rows if row["event"] == event]
        last_step = math.inf if self.early else self.state_metadata.get("step", math.inf)
        return [row for row in matches if row["step"] <= last_step]

    @cached_property
    def non_finite_rows(self) -> list[dict[str, Any]]:
        """Steps that were not finite."""
        finding_rows = [row for row in self.log_rows if row["event"] == "finding"]
        return [row for row in finding_rows if row["kind"] == NON_FINITE]

    @cached_property
    def state_metadata(self) -> dict[str, Any]:
        """The header of the commit point; empty where only weights were kept."""
        return read_metadata(self.run.state) if self.run.state.exists() else {}

    @property
    def diverged(self) -> bool:
        """Whether the run ended because of steps that were not finite."""
        return self.state_metadata.get("failures", 0) >= MAX_FAILURES

    @property
    def step(self) -> int:
        last_step = self.training_rows[-1]["step"] if self.training_rows else 0
        return last_step if self.early else self.state_metadata.get("step", last_step)

    @cached_property
    def total_steps(self) -> int:
        """Steps that the run was to take."""
        if self.training_rows:
            return self.training_rows[-1]["total"]
        return count_steps(self.plan, self.run)

    @property
    def complete(self) -> bool:
        return not self.early and self.state_metadata.get("complete", self.step >= self.total_steps)

    @property
    def is_prior(self) -> bool:
        """A learned prior; by its player, since a run in training is not opened."""
        return "denoiser" in self.run.metadata.get("parameters", {})

    @property
    def min_steps(self) -> int:
        """Steps below which a run is near its random start."""
        return MIN_PRIOR_STEPS if self.is_prior else MIN_STEPS

    @property
    def is_short(self) -> bool:
        return 0 < self.total_steps < self.min_steps

    @property
    def is_near_start(self) -> bool:
        """So early in the run that a low rate may yet rise, and one grey picture become many."""
        return self.step < EARLY_SHARE * self.total_steps

    @property
    def players(self) -> list[str]:
        return list(self.training_rows[-1]["players"]) if self.training_rows else []

    @cached_property
    def plan(self) -> Plan:
        """As it was trained, without its weights."""
        self._require_finished_run()
        return self.run.plan(Images.from_metadata(self.run.metadata["images"]))

    @cached_property
    def model(self) -> Model:
        self._require_finished_run()
        # as it was trained; convolutions take half the time so
        return self.run.model().to(memory_format=torch.channels_last)  # pyright: ignore

    @property
    def autoencoder(self) -> Any:
        """The model that has latents, the run's own or its autoencoder; None if neither has."""
        model = self.model.autoencoder if isinstance(self.model, HasTrajectory) else self.model
        return model if isinstance(model, HasLatents) else None

    @property
    def has_latents(self) -> bool:
        """Of its own: of a learned prior, its autoencoder's illnesses are another run's."""
        return isinstance(self.model, HasLatents) and not isinstance(self.model, HasTrajectory)

    @cached_property
    def parent(self) -> RunFolder | None:
        """The run's copy of the run that it was built on."""
        return (
            RunFolder.open(self.run.path / AUTOENCODER) if AUTOENCODER in self.parameters else None
        )

    @cached_property
    def images(self) -> Images:
        """Raises: Error if they are not here."""
        self._require_finished_run()
        return self._images or self.run.images(self._data, same=True)

    @cached_property
    def held_out(self) -> Split:
        """Validation images, never the test images; the training ones where none were kept."""
        validation_split = self.images.split("validation")
        return validation_split if len(validation_split) else self.images.split("train")

    @property
    def data_flags(self) -> list[str]:
        """The words by which a command finds the images, where the run's own do not."""
        return [] if self._data is None else ["--data", str(self._data)]

    @property
    def max_images(self) -> int:
        """Held-out images that are looked at: fewer, where they are large."""
        return min(
            MAX_ENCODED_IMAGES,
            max(MIN_ENCODED_IMAGES, MAX_ENCODED_PIXELS // count_pixels(self.run)),
        )

    @property
    def max_samples(self) -> int:
        return min(MAX_SAMPLES, self.max_images)

    def select_images(self, n_images: int) -> Float[Tensor, "n c h w"]:
        """So many held-out images, or all, evenly spaced."""
        return self.held_out.get_batch(evenly_spaced_rows(len(self.held_out), n_images)).image

    @cached_property
    def latent_table(self) -> LatentTable:
        """Of held-out images."""
        return encode_split(self.autoencoder, self.held_out, limit=self.max_images)

    @cached_property
    def residual(self) -> tuple[float, float]:
        """Mean squared error of decoded posterior means, and the variance that it leaves over."""
        images, rows = (
            self.select_images(self.max_images),
            evenly_spaced_rows(len(self.latent_table.mean), MAX_DECODED),
        )
        errors = self.decode_latents(self.latent_table.mean[rows]) - images[rows]
        return float(errors.square().mean()), float((images - images.mean(0)).square().mean())

    @property
    def explained_variance(self) -> float:
        """Share of the pixels' variance that reconstructions explain."""
        return 1 - self.residual[0] / self.residual[1]

    @cached_property
    @torch.inference_mode()
    def samples(self) -> Float[Tensor, "n c h w"]:
        n_samples = max(
            2, min(self.max_samples, 64 * self.held_out.max_batch_size(), len(self.held_out))
        )
        model: Any = self.model
        if getattr(model, "condition", None) is None or model.classes:
            return model.sample(n_samples, seed=0).cpu()
        # an image as condition: without one, samples are of no image that could be compared
        conditions = self.held_out.get_batch(
            evenly_spaced_rows(len(self.held_out), n_samples)
        ).columns[model.column]
        return model.sample(len(conditions), seed=0, cond=conditions).cpu()

    @cached_property
    def posterior_draws(self) -> Float[Tensor, "n c h w"]:
        """Decoded draws, one from the posterior of each of some held-out images."""
        rows = evenly_spaced_rows(len(self.latent_table.mean), self.max_samples)
        eps = sample_normal_rows(
            len(rows), self.latent_table.mean.shape[1:], seed=0, purpose="doctor"
        ).numpy()
        return self.decode_latents(self.latent_table.mean[rows] + self.latent_table.sd[rows] * eps)

    @torch.inference_mode()
    def decode_latents(self, latents: np.ndarray) -> Float[Tensor, "n c h w"]:
        """Of latents whose dimensions stand in a row."""
        z = torch.from_numpy(latents).unflatten(1, tuple(self.autoencoder.latent_shape))
        return torch.cat(
            [
                self.autoencoder.decode(chunk).cpu()
                for chunk in z.split(self.held_out.max_batch_size())
            ]
        )

    def measure_overlap(self, samples: Tensor, real_images: Tensor) -> PRDC:
        """How `drawn` lie among `real`, in principal components of the real pixels."""
        n_images = min(len(samples), len(real_images))
        flat_pixels = real_images.flatten(1).double()
        centre = flat_pixels.mean(0)
        n_components = min(MAX_COMPONENTS, n_images - 1, flat_pixels.shape[1])
        centred = flat_pixels - centre
        eigenvalues, eigenvectors = torch.linalg.eigh(
            centred @ centred.T
        )  # exact, and of the images' number only
        axes = (
            centred.T
            @ eigenvectors[:, -n_components:]
            / eigenvalues[-n_components:].clamp_min(1e-12).sqrt()
        )
        real_coordinates, sample_coordinates = (
            (x.flatten(1).double()[:n_images] - centre) @ axes for x in (real_images, samples)
        )
        return prdc(real_coordinates.float(), sample_coordinates.float(), k=min(5, n_images - 1))

    def read_monitor(self, name: str) -> np.ndarray:
        """Of every log row; nan where it was not told."""
        return np.array([row["monitors"].get(name, np.nan) for row in self.training_rows])

    def read_gradient_norms(self, player: str) -> np.ndarray:
        """The gradient's norm, of every log row in which the player moved."""
        player_rows = [row["players"].get(player) for row in self.training_rows]
        return np.array([player_row["gradient_norm"] for player_row in player_rows if player_row])

    def read_term(self, name: str, kind: str = "terms") -> np.ndarray:
        """A term's mean (or its weight) of every log row in which it appears."""
        term_rows = [
            player_row[kind] for row in self.training_rows for player_row in row["players"].values()
        ]
        return np.array([terms[name] for terms in term_rows if name in terms])

    def read_validation_metric(self, name: str) -> np.ndarray:
        """A validation figure, epoch by epoch."""
        return np.array(
            [row["values"][name] for row in self.validation_rows if name in row["values"]]
        )

    def _require_finished_run(self) -> None:
        if self.early:
            raise Error("The run is still being trained.")


def count_steps(plan: Plan, run: RunFolder) -> int:
    """All steps of a plan on the run's images; the short last batch of an epoch is left out."""
    n_images = run.metadata["images"]["count"]["train"]
    return plan.epochs * (n_images // max(1, min(plan.batch, n_images)))


def count_pixels(run: RunFolder) -> int:
    return math.prod(run.metadata["images"]["shape"])
