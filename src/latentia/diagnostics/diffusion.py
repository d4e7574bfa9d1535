"""Illnesses of a learned prior: the latents it was given, what it heeds, what it draws."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.contract import HasTrajectory
from latentia.core.modes import evaluation_mode
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ERROR, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_COVERAGE_IMAGES, MIN_PRIOR_COVERAGE
from latentia.diagnostics.run_context import MIN_PRIOR_STEPS, RunContext, count_steps
from latentia.runs.build import AUTOENCODER
from latentia.training.checkpoint import read_metadata

MAX_SCALE_RATIO = (
    1.5  # of a standard deviation that should be 1; sampling error of 130 images is 0.06
)
MIN_STANDARD_ERRORS = 2.0  # standard errors by which a false condition must raise the error
HIGH_GUIDANCE = 2.0  # guidance; the default is 1.5, by groups of latents 1.25
MAX_PAIRS = 1024  # held-out images asked with the true and a false condition


@define_check(
    "unfinished autoencoder",
    evidence="steps that the autoencoder had taken when its weights were copied",
    threshold="fewer than its run was to take",
    advice="latentia resume AUTOENCODER, then the same command on it",
    early=True,
)
def unfinished_autoencoder(context: RunContext) -> CheckResult | None:
    parent = context.parent
    if parent is None:
        return None
    step = read_metadata(parent.weights).get("step")
    if step is None:  # trained elsewhere: nothing is known of it
        return None
    total_steps = count_steps(parent.plan(Images.from_metadata(parent.metadata["images"])), parent)
    if step >= total_steps:
        return None
    parent_path = Path(context.parameters[AUTOENCODER])
    retraining = suggested_commands.retrain(context, "finished")
    return CheckResult(
        WARNING,
        f"{parent_path.name} had taken {step:,} of {pluralize(total_steps, 'step')}.",
        "This prior learns the latents of a network that was not done: its "
        "images are no better than "
        "that network's, and must be learned anew once it is finished.",
        {"step": step, "total": total_steps},
        [*suggested_commands.suggest_resume(parent_path), *retraining]
        if parent_path.exists()
        else retraining,
    )


@define_check(
    "latents out of scale",
    evidence="held-out latents in the units that the prior was trained in: mean and deviation",
    threshold=f"a deviation {MAX_SCALE_RATIO:g} times off 1 in a dimension, or a mean as far from 0",
    advice="the same command: mean and deviation are measured anew",
)
def latents_out_of_scale(context: RunContext) -> CheckResult | None:
    model: Any = context.model
    if not isinstance(model, HasTrajectory) or not hasattr(model, "latent_sd"):
        return None
    if len(context.latent_table.mean) < MIN_COVERAGE_IMAGES:
        return None
    buffers = (model.latent_mean, model.latent_sd)  # pyright: ignore
    latent_mean, latent_sd = (buffer.flatten().cpu().numpy() for buffer in buffers)
    spread_ratio = context.latent_table.aggregate_sd / latent_sd
    shift = np.abs(context.latent_table.mean.mean(0) - latent_mean) / latent_sd
    worst_dim = int(np.argmax(np.abs(np.log(spread_ratio))))
    if max(spread_ratio.max(), 1 / spread_ratio.min(), 1 + shift.max()) < MAX_SCALE_RATIO:
        return None
    return CheckResult(
        ERROR,
        f"in the prior's units, held-out latents have a standard deviation of {spread_ratio[worst_dim]:.3g} in "
        f"dimension {worst_dim}, where 1 was promised; means are off by up to {shift.max():.2g}.",
        "Noise and data are mixed in the wrong proportion: samples are washed out or far too wild.",
        {"deviation": float(spread_ratio[worst_dim]), "shift": float(shift.max())},
        suggested_commands.retrain(context, "scaled"),
    )


@torch.no_grad()
def compare_conditions(context: RunContext, model: Any) -> tuple[float, float, float]:
    """Denoising error, by how much a false condition raises it, and the standard error of that.

    The same images, times and noise; the conditions go round by a third of the images.
    """
    split = context.held_out
    rows = torch.arange(min(MAX_PAIRS, len(split)))
    batch = split.get_batch(rows)
    step_context = split.get_with_context(0, len(rows), 0)[1]
    true_condition = batch.columns.get(model.column)
    if true_condition is None:  # groups of latents: the nearest centre is the condition
        true_condition = model.assign_cluster(model.posterior(batch).mean)
    false_condition = torch.roll(true_condition, len(rows) // 3, 0)
    is_different = (
        (true_condition != false_condition).flatten(1).any(1)
        if true_condition.ndim > 1
        else true_condition != false_condition
    )
    with evaluation_mode(model):
        true_error = model.sample_denoising_error(batch, step_context)[1]
        columns = {**batch.columns, model.column: false_condition}
        false_error = model.sample_denoising_error(batch._replace(columns=columns), step_context)[1]
    increase = (false_error - true_error)[is_different].double()
    standard_error = increase.std().item() / max(1, len(increase)) ** 0.5
    return true_error.mean().item(), increase.mean().item(), standard_error


@define_check(
    "condition ignored",
    evidence="rise of the denoising error of held-out images when each is given "
    "another's condition",
    threshold=f"less than {MIN_STANDARD_ERRORS:g} standard errors",
    advice="--lr at the recipe's own, or more --epochs",
)
def condition_ignored(context: RunContext) -> CheckResult | None:
    model: Any = context.model
    if not isinstance(model, HasTrajectory) or model.column is None or len(context.held_out) < 16:
        return None
    error, increase, standard_error = compare_conditions(context, model)
    if increase > MIN_STANDARD_ERRORS * standard_error:
        return None
    return CheckResult(
        ERROR,
        f"a false {model.column} raises the denoising error of {error:.3g} by {increase:.2g} ± "
        f"{1.96 * standard_error:.2g} only.",
        f"Whatever {model.column} is asked for, the same is drawn; guidance has "
        "nothing to amplify.",
        {"error": error, "raised": increase, "standard_error": standard_error},
        suggested_commands.reset_parameters(context, "lr")
        or suggested_commands.train_longer(context, 2 * MIN_PRIOR_STEPS),
    )


@define_check(
    "learned prior off its latents",
    evidence="share of decoded posterior draws with a sample of the learned prior near",
    threshold=f"below {MIN_PRIOR_COVERAGE}",
    advice=f"--guidance 1 where it is above {HIGH_GUIDANCE:g}; --lr at the recipe's own; or more --epochs",
)
def prior_off_latents(context: RunContext) -> CheckResult | None:
    model: Any = context.model
    if not isinstance(model, HasTrajectory) or context.is_short:
        return None
    if min(len(context.samples), len(context.posterior_draws)) < MIN_COVERAGE_IMAGES:
        return None
    coverage = context.measure_overlap(context.samples, context.posterior_draws).coverage
    if coverage >= MIN_PRIOR_COVERAGE:
        return None
    guidance_scale = context.parameters.get("guidance") or 1.0
    lower_guidance = (
        suggested_commands.retrain(context, "guidance1", guidance=1.0)
        if guidance_scale > HIGH_GUIDANCE
        else []
    )
    return CheckResult(
        WARNING,
        f"samples reach {coverage:.0%} of what the latents can draw (n = {len(context.samples)}).",
        "New images are less varied than yours, or unlike them; the autoencoder is not at fault.",
        {"reached": coverage},
        lower_guidance
        or suggested_commands.reset_parameters(context, "lr")
        or suggested_commands.train_longer(context, 2 * MIN_PRIOR_STEPS),
    )


CHECKS = (unfinished_autoencoder, latents_out_of_scale, condition_ignored, prior_off_latents)
