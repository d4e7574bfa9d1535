"""Checks of a learned prior: its latents, its condition and its samples."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.contract import HasLatents, HasTrajectory
from latentia.core.modes import evaluation_mode
from latentia.core.text import format_with_error, pluralize
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_PRIOR_COVERAGE
from latentia.diagnostics.run_context import MIN_COVERAGE_IMAGES, RunContext, count_steps
from latentia.nets.column_condition import use_columns
from latentia.runs.build import AUTOENCODER
from latentia.training.checkpoint import read_metadata

MAX_SCALE_RATIO = 1.5  # of a standard deviation near 1; its sampling error at n = 130 is 0.06
MIN_STANDARD_ERRORS = 2.0  # by which a false condition must raise the denoising error
HIGH_GUIDANCE = 2.0  # the default is 1.5, and 1.25 for groups of latents
MAX_PAIRS = 1024  # held-out images to denoise under the true and a false condition


@define_check("unfinished autoencoder", threshold="fewer than its run planned", early=True)
def unfinished_autoencoder(context: RunContext) -> CheckResult | None:
    """Steps of the autoencoder when its weights were copied.

    Suggested change: latentia resume AUTOENCODER, then the same training again.
    """
    parent = context.parent
    if parent is None:
        return None
    step = read_metadata(parent.weights).get("step")
    if step is None:  # trained without latentia: its number of steps is unknown
        return None
    total_steps = count_steps(parent.plan(parent.stored_images), parent)
    if step >= total_steps:
        return None
    path = Path(context.parameters[AUTOENCODER])
    commands = []
    if path.exists():  # else the same training would have the same result
        commands += suggest.resume_training(context, path)
        commands += suggest.retrain_run(context, "finished")
    return CheckResult(
        WARNING,
        f"the autoencoder {path.name} was trained for {step:,} of "
        f"{pluralize(total_steps, 'step')} when its weights were copied.",
        "This prior learns the latents of an unfinished network. Its images are no better than "
        "that network's, and it must be trained again when the network is finished.",
        {"step": step, "total": total_steps},
        commands,
    )


@define_check(
    "latents out of scale",
    threshold=f"a standard deviation {MAX_SCALE_RATIO:g} times above or below 1 in a dimension, or "
    f"a mean further than {MAX_SCALE_RATIO - 1:g} from 0",
)
def latents_out_of_scale(context: RunContext) -> CheckResult | None:
    """Mean and standard deviation of held-out latents, in the units of the training.

    Suggested change: the same training again, which measures mean and standard deviation anew.
    """
    model: Any = context.model
    if context.autoencoder is None or not hasattr(model, "latent_sd"):
        return None
    table = context.latent_table
    if len(table.mean) < MIN_COVERAGE_IMAGES:
        return None
    buffers = (model.latent_mean, model.latent_sd)  # pyright: ignore
    mean, sd = (buffer.flatten().cpu().numpy() for buffer in buffers)
    ratio, shift = table.aggregate_sd / sd, np.abs(table.mean.mean(0) - mean) / sd
    dim = int(np.argmax(np.abs(np.log(ratio))))
    if max(ratio.max(), 1 / ratio.min(), 1 + shift.max()) < MAX_SCALE_RATIO:
        return None
    # its original may be another by now
    copy = {AUTOENCODER: str(context.run.path / AUTOENCODER)}
    return CheckResult(
        ERROR,
        f"in the prior's units, held-out latents have a standard deviation of {ratio[dim]:.3g} "
        f"instead of 1 in dimension {dim}, and means of up to {shift.max():.2g} instead of 0.",
        "Noise and latents are mixed in a wrong proportion: samples are either washed out or far "
        "too varied.",
        {"deviation": float(ratio[dim]), "shift": float(shift.max())},
        suggest.retrain_run(context, "scaled", **copy),
    )


@torch.no_grad()
def compare_conditions(context: RunContext, model: Any) -> tuple[float, float, float]:
    """Return the error, its rise under a false condition, and the rise's standard error.

    The error is that of denoising, or the distortion of a VAE, whose encoder keeps the true label.
    Images, times and noise stay the same. Each image gets the condition of the one that stands a
    third of the images before it.
    """
    split = context.held_out
    rows = torch.arange(min(MAX_PAIRS, len(split)))
    batch, step_context = split.get_batch(rows), split.get_with_context(0, len(rows), 0)[1]
    condition = batch.columns.get(model.column)
    if condition is None:  # groups of latents: the nearest centre is the condition
        condition = model.assign_cluster(model.encode_batch(batch).mean)
    false_condition = torch.roll(condition, len(rows) // 3, 0)
    is_different = (condition != false_condition).reshape(len(rows), -1).any(1)
    false_batch = batch._replace(columns={**batch.columns, model.column: false_condition})
    with evaluation_mode(model):
        if measure := getattr(model, "sample_denoising_error", None):
            error, false_error = (measure(each, step_context)[1] for each in (batch, false_batch))
        else:  # a false label for the decoder only
            with use_columns(model, batch.columns):
                z = model.encode(batch.image).mean
                error = model.distortion(z, batch.image)
            with use_columns(model, false_batch.columns):
                false_error = model.distortion(z, batch.image)
    rise = (false_error - error)[is_different].double()
    if len(rise) < 2:  # all images have one condition
        return error.mean().item(), math.nan, math.nan
    standard_error = rise.std().item() / len(rise) ** 0.5
    return error.mean().item(), rise.mean().item(), standard_error


@define_check("condition ignored", threshold=f"less than {MIN_STANDARD_ERRORS:g} standard errors")
def condition_ignored(context: RunContext) -> CheckResult | None:
    """Rise of the denoising error, or of a VAE's distortion, when a held-out image gets another's
    condition.

    Suggested change: --lr at the recipe's default, or more --epochs.
    """
    model: Any = context.model
    if getattr(model, "column", None) is None or len(context.held_out) < 16:
        return None
    is_prior, has_latents = isinstance(model, HasTrajectory), isinstance(model, HasLatents)
    if not is_prior and not has_latents:  # a GAN has no error of an image
        return None
    name = "denoising error" if is_prior else "distortion"
    error, rise, standard_error = compare_conditions(context, model)
    if math.isnan(standard_error) or rise > MIN_STANDARD_ERRORS * standard_error:
        return None
    interval = f"{format_with_error(rise, 1.96 * standard_error)} (95 % interval)"
    effect = f"raises the {name} of {error:.3g} by only {interval}"
    return CheckResult(
        ERROR,
        f"a false {model.column} {effect if rise else f'does not change the {name}'}.",
        f"Samples do not depend on the requested {model.column}"
        + (
            ", and guidance has nothing to amplify."
            if is_prior
            else "; the latents carry it, or it is not visible."
        ),
        {"error": error, "raised": rise, "standard_error": standard_error},
        suggest.reset_parameters(context, "lr") or suggest.train_longer(context),
    )


@define_check("learned prior off its latents", threshold=f"below {MIN_PRIOR_COVERAGE}")
def prior_off_latents(context: RunContext) -> CheckResult | None:
    """Coverage: share of decoded posterior draws that have a sample of the learned prior nearby.

    Suggested change: --guidance 1 if it is above 2; --lr at the recipe's default; or more --epochs.
    """
    model: Any = context.model
    if not isinstance(model, HasTrajectory) or context.is_short:
        return None
    overlap = context.sample_overlap
    if overlap is None or (coverage := overlap.coverage) >= MIN_PRIOR_COVERAGE:
        return None
    target = "held-out images" if context.autoencoder is None else "decoded posterior draws"
    commands = []
    if (context.parameters.get("guidance") or 1.0) > HIGH_GUIDANCE:
        commands = suggest.retrain_run(context, "guidance1", guidance=1.0)
    return CheckResult(
        WARNING,
        f"samples cover {coverage:.0%} of the {target} (n = {len(context.samples)}).",
        "New images are less varied than yours, or unlike them; an autoencoder is not the cause.",
        {"reached": coverage},
        commands or suggest.reset_parameters(context, "lr") or suggest.train_longer(context),
    )
