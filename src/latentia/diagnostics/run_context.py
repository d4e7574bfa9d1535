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
from latentia.core.seeding import normal_rows
from latentia.data import Images, Split
from latentia.data.splits import evenly
from latentia.latents.encoding import Codes, codes
from latentia.metrics.coverage import Overlap, overlap
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_about
from latentia.training.events import NON_FINITE, read_rows
from latentia.training.plan import Plan
from latentia.training.state import FAILURES

PIXELS = 2**21  # that are encoded, at most; so the doctor takes seconds on large images too
FEWEST, MOST = 200, 2000  # held-out images that are encoded, whatever their size
DRAWN = 500  # samples, and as many decoded posterior draws, at most
DECODED = 100  # posterior means that are decoded: each gives the error of all its pixels
EARLY = 0.25  # share of the run: VAEs begin collapsed, generators grey
STEPS = 300  # by then a VAE has left the mean image; MNIST's recipes take 4,290 and more
PRIOR_STEPS = 1000  # denoisers begin by saying 0, and their averaged weights lag behind
COMPONENTS = 32  # principal components of the held-out pixels, in which neighbours are sought


class Patient:
    """A run, and what was found out of it so far; nothing of its folder is changed.

    images: the run's own, if at hand. early: in training: only settings and log are looked at.
    """

    def __init__(self, run: RunFolder, images: Images | None = None, data: Any = None, early=False):
        self.run, self._images, self._data, self.early = run, images, data, early

    @property
    def knobs(self) -> dict[str, Any]:
        return self.run.metadata["arguments"]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return read_rows(self.run.path / "log.jsonl")

    @cached_property
    def logged(self) -> list[dict[str, Any]]:
        return self.said("logged")

    @cached_property
    def validated(self) -> list[dict[str, Any]]:
        return self.said("validated")

    def said(self, event: str) -> list[dict[str, Any]]:
        """Rows of an event; after a kill, those of the steps that the weights have taken."""
        found = [row for row in self.rows if row["event"] == event]
        taken = math.inf if self.early else self.about_state.get("step", math.inf)
        return [row for row in found if row["step"] <= taken]

    @cached_property
    def incidents(self) -> list[dict[str, Any]]:
        """Steps that were not finite."""
        found = [row for row in self.rows if row["event"] == "finding"]
        return [row for row in found if row["kind"] == NON_FINITE]

    @cached_property
    def about_state(self) -> dict[str, Any]:
        """The header of the commit point; empty where only weights were kept."""
        return read_about(self.run.state) if self.run.state.exists() else {}

    @property
    def diverged(self) -> bool:
        """Whether it ended by steps that were not finite."""
        return self.about_state.get("failures", 0) >= FAILURES

    @property
    def step(self) -> int:
        logged = self.logged[-1]["step"] if self.logged else 0
        return logged if self.early else self.about_state.get("step", logged)

    @cached_property
    def total(self) -> int:
        """Steps that the run was to take."""
        if self.logged:
            return self.logged[-1]["total"]
        return steps_of(self.plan, self.run)

    @property
    def complete(self) -> bool:
        return not self.early and self.about_state.get("complete", self.step >= self.total)

    @property
    def prior(self) -> bool:
        """A learned prior; by its player, since a run in training is not opened."""
        return "denoiser" in self.run.metadata.get("parameters", {})

    @property
    def enough(self) -> int:
        """Steps below which a run is near its random start."""
        return PRIOR_STEPS if self.prior else STEPS

    @property
    def brief(self) -> bool:
        return 0 < self.total < self.enough

    @property
    def young(self) -> bool:
        """So early in the run that a low rate may yet rise, and one grey picture become many."""
        return self.step < EARLY * self.total

    @property
    def players(self) -> list[str]:
        return list(self.logged[-1]["players"]) if self.logged else []

    @cached_property
    def plan(self) -> Plan:
        """As it was trained, without its weights."""
        self._look()
        return self.run.plan(Images.described(self.run.metadata["images"]))

    @cached_property
    def model(self) -> Model:
        self._look()
        # as it was trained; convolutions take half the time so
        return self.run.model().to(memory_format=torch.channels_last)  # pyright: ignore

    @property
    def coder(self) -> Any:
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
        return RunFolder.open(self.run.path / AUTOENCODER) if AUTOENCODER in self.knobs else None

    @cached_property
    def images(self) -> Images:
        """Raises: Error if they are not here."""
        self._look()
        return self._images or self.run.images(self._data, same=True)

    @cached_property
    def held_out(self) -> Split:
        """Validation images, never the test images; the training ones where none were kept."""
        part = self.images.split("validation")
        return part if len(part) else self.images.split("train")

    @property
    def data(self) -> list[str]:
        """The words by which a command finds the images, where the run's own do not."""
        return [] if self._data is None else ["--data", str(self._data)]

    @property
    def most(self) -> int:
        """Held-out images that are looked at: fewer, where they are large."""
        return min(MOST, max(FEWEST, PIXELS // pixels_of(self.run)))

    @property
    def drawn(self) -> int:
        return min(DRAWN, self.most)

    def few(self, n: int) -> Float[Tensor, "n c h w"]:
        """So many held-out images, or all, evenly spaced."""
        return self.held_out.batch(evenly(len(self.held_out), n)).image

    @cached_property
    def codes(self) -> Codes:
        """Of held-out images."""
        return codes(self.coder, self.held_out, most=self.most)

    @cached_property
    def residual(self) -> tuple[float, float]:
        """Mean squared error of decoded posterior means, and the variance that it leaves over."""
        images, rows = self.few(self.most), evenly(len(self.codes.mean), DECODED)
        wrong = self.decoded(self.codes.mean[rows]) - images[rows]
        return float(wrong.square().mean()), float((images - images.mean(0)).square().mean())

    @property
    def explained(self) -> float:
        """Share of the pixels' variance that reconstructions explain."""
        return 1 - self.residual[0] / self.residual[1]

    @cached_property
    @torch.inference_mode()
    def samples(self) -> Float[Tensor, "n c h w"]:
        n = max(2, min(self.drawn, 64 * self.held_out.at_once(), len(self.held_out)))
        model: Any = self.model
        if getattr(model, "condition", None) is None or model.classes:
            return model.sample(n, seed=0).cpu()
        # an image as condition: without one, samples are of no image that could be compared
        told = self.held_out.batch(evenly(len(self.held_out), n)).columns[model.column]
        return model.sample(len(told), seed=0, cond=told).cpu()

    @cached_property
    def posterior_draws(self) -> Float[Tensor, "n c h w"]:
        """Decoded draws, one from the posterior of each of some held-out images."""
        rows = evenly(len(self.codes.mean), self.drawn)
        eps = normal_rows(len(rows), self.codes.mean.shape[1:], seed=0, purpose="doctor").numpy()
        return self.decoded(self.codes.mean[rows] + self.codes.sd[rows] * eps)

    @torch.inference_mode()
    def decoded(self, latents: np.ndarray) -> Float[Tensor, "n c h w"]:
        """Of latents whose dimensions stand in a row."""
        z = torch.from_numpy(latents).unflatten(1, tuple(self.coder.latent_shape))
        return torch.cat(
            [self.coder.decode(part).cpu() for part in z.split(self.held_out.at_once())]
        )

    def likeness(self, drawn: Tensor, real: Tensor) -> Overlap:
        """How `drawn` lie among `real`, in principal components of the real pixels."""
        n = min(len(drawn), len(real))
        flat = real.flatten(1).double()
        centre = flat.mean(0)
        width = min(COMPONENTS, n - 1, flat.shape[1])
        wide = flat - centre
        strength, order = torch.linalg.eigh(wide @ wide.T)  # exact, and of the images' number only
        axes = wide.T @ order[:, -width:] / strength[-width:].clamp_min(1e-12).sqrt()
        a, b = ((x.flatten(1).double()[:n] - centre) @ axes for x in (real, drawn))
        return overlap(a.float(), b.float(), k=min(5, n - 1))

    def gauge(self, name: str) -> np.ndarray:
        """Of every log row; nan where it was not told."""
        return np.array([row["gauges"].get(name, np.nan) for row in self.logged])

    def norms(self, player: str) -> np.ndarray:
        """The gradient's norm, of every log row in which the player moved."""
        said = [row["players"].get(player) for row in self.logged]
        return np.array([each["gradient_norm"] for each in said if each])

    def term(self, name: str, kind: str = "terms") -> np.ndarray:
        """A term's mean (or its weight) of every log row in which it appears."""
        told = [said[kind] for row in self.logged for said in row["players"].values()]
        return np.array([each[name] for each in told if name in each])

    def score(self, name: str) -> np.ndarray:
        """A validation figure, epoch by epoch."""
        return np.array([r["values"][name] for r in self.validated if name in r["values"]])

    def _look(self) -> None:
        if self.early:
            raise Error("The run is still being trained.")


def steps_of(plan: Plan, run: RunFolder) -> int:
    """All steps of a plan on the run's images; the short last batch of an epoch is left out."""
    n = run.metadata["images"]["count"]["train"]
    return plan.epochs * (n // max(1, min(plan.batch, n)))


def pixels_of(run: RunFolder) -> int:
    return math.prod(run.metadata["images"]["shape"])
