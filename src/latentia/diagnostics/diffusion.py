"""Illnesses of a learned prior: the latents it was given, what it heeds, what it draws."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.contract import HasTrajectory
from latentia.core.modes import evaluating
from latentia.core.text import counted
from latentia.data import Images
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ILL, WARN, Diagnosis, check
from latentia.diagnostics.latents import ENOUGH, REACHED
from latentia.diagnostics.run_context import PRIOR_STEPS, Patient, steps_of
from latentia.runs.build import AUTOENCODER
from latentia.training.checkpoint import read_about

SCALE = 1.5  # of a standard deviation that should be 1; sampling error of 130 images is 0.06
HEEDED = 2.0  # standard errors by which a false condition must raise the error
NARROW = 2.0  # guidance; the default is 1.5, by groups of latents 1.25
PAIRS = 1024  # held-out images asked with the true and a false condition


@check(
    "unfinished autoencoder",
    evidence="steps that the autoencoder had taken when its weights were copied",
    threshold="fewer than its run was to take",
    cure="latentia resume AUTOENCODER, then the same command on it",
    early=True,
)
def unfinished_parent(patient: Patient) -> Diagnosis | None:
    parent = patient.parent
    if parent is None:
        return None
    step = read_about(parent.weights).get("step")
    if step is None:  # trained elsewhere: nothing is known of it
        return None
    total = steps_of(parent.plan(Images.described(parent.metadata["images"])), parent)
    if step >= total:
        return None
    where = Path(patient.knobs[AUTOENCODER])
    again = suggested_commands.train(patient, "finished")
    return Diagnosis(
        WARN,
        f"{where.name} had taken {step:,} of {counted(total, 'step')}.",
        "This prior learns the latents of a network that was not done: its "
        "images are no better than "
        "that network's, and must be learned anew once it is finished.",
        {"step": step, "total": total},
        [*suggested_commands.resume(where), *again] if where.exists() else again,
    )


@check(
    "latents out of scale",
    evidence="held-out latents in the units that the prior was trained in: mean and deviation",
    threshold=f"a deviation {SCALE:g} times off 1 in a dimension, or a mean as far from 0",
    cure="the same command: mean and deviation are measured anew",
)
def scale(patient: Patient) -> Diagnosis | None:
    model: Any = patient.model
    if not isinstance(model, HasTrajectory) or not hasattr(model, "latent_sd"):
        return None
    if len(patient.codes.mean) < ENOUGH:
        return None
    centre, sd = (x.flatten().cpu().numpy() for x in (model.latent_mean, model.latent_sd))  # pyright: ignore
    spread = patient.codes.spread / sd
    shift = np.abs(patient.codes.mean.mean(0) - centre) / sd
    k = int(np.argmax(np.abs(np.log(spread))))
    if max(spread.max(), 1 / spread.min(), 1 + shift.max()) < SCALE:
        return None
    return Diagnosis(
        ILL,
        f"in the prior's units, held-out latents have a standard deviation of {spread[k]:.3g} in "
        f"dimension {k}, where 1 was promised; means are off by up to {shift.max():.2g}.",
        "Noise and data are mixed in the wrong proportion: samples are washed out or far too wild.",
        {"deviation": float(spread[k]), "shift": float(shift.max())},
        suggested_commands.train(patient, "scaled"),
    )


@torch.no_grad()
def heeded(patient: Patient, model: Any) -> tuple[float, float, float]:
    """Denoising error, by how much a false condition raises it, and the standard error of that.

    The same images, times and noise; the conditions go round by a third of the images.
    """
    split = patient.held_out
    rows = torch.arange(min(PAIRS, len(split)))
    batch = split.batch(rows)
    moment = split.moment(0, len(rows), 0)[1]
    own = batch.columns.get(model.column)
    if own is None:  # groups of latents: the nearest centre is the condition
        own = model.cluster(model.posterior(batch).mean)
    false = torch.roll(own, len(rows) // 3, 0)
    differs = (own != false).flatten(1).any(1) if own.ndim > 1 else own != false
    with evaluating(model):
        true = model.timed_error(batch, moment)[1]
        columns = {**batch.columns, model.column: false}
        wrong = model.timed_error(batch._replace(columns=columns), moment)[1]
    more = (wrong - true)[differs].double()
    error = more.std().item() / max(1, len(more)) ** 0.5
    return true.mean().item(), more.mean().item(), error


@check(
    "condition ignored",
    evidence="rise of the denoising error of held-out images when each is given "
    "another's condition",
    threshold=f"less than {HEEDED:g} standard errors",
    cure="--lr at the recipe's own, or more --epochs",
)
def ignored(patient: Patient) -> Diagnosis | None:
    model: Any = patient.model
    if not isinstance(model, HasTrajectory) or model.column is None or len(patient.held_out) < 16:
        return None
    error, more, uncertain = heeded(patient, model)
    if more > HEEDED * uncertain:
        return None
    return Diagnosis(
        ILL,
        f"a false {model.column} raises the denoising error of {error:.3g} by {more:.2g} ± "
        f"{1.96 * uncertain:.2g} only.",
        f"Whatever {model.column} is asked for, the same is drawn; guidance has "
        "nothing to amplify.",
        {"error": error, "raised": more, "standard_error": uncertain},
        suggested_commands.restored(patient, "lr")
        or suggested_commands.longer(patient, 2 * PRIOR_STEPS),
    )


@check(
    "learned prior off its latents",
    evidence="share of decoded posterior draws with a sample of the learned prior near",
    threshold=f"below {REACHED}",
    cure=f"--guidance 1 where it is above {NARROW:g}; --lr at the recipe's own; or more --epochs",
)
def off(patient: Patient) -> Diagnosis | None:
    model: Any = patient.model
    if not isinstance(model, HasTrajectory) or patient.brief:
        return None
    if min(len(patient.samples), len(patient.posterior_draws)) < ENOUGH:
        return None
    share = patient.likeness(patient.samples, patient.posterior_draws).coverage
    if share >= REACHED:
        return None
    guided = patient.knobs.get("guidance") or 1.0
    milder = suggested_commands.train(patient, "guidance1", guidance=1.0) if guided > NARROW else []
    return Diagnosis(
        WARN,
        f"samples reach {share:.0%} of what the latents can draw (n = {len(patient.samples)}).",
        "New images are less varied than yours, or unlike them; the autoencoder is not at fault.",
        {"reached": share},
        milder
        or suggested_commands.restored(patient, "lr")
        or suggested_commands.longer(patient, 2 * PRIOR_STEPS),
    )


CHECKS = (unfinished_parent, scale, ignored, off)
