"""Checks of a training's length: interrupted, too short or too long, and what was not learned."""

import numpy as np

from latentia.core.locks import find_other_owner
from latentia.core.text import format_with_error, pluralize
from latentia.diagnostics import latents
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.adversary import MIN_COVERAGE
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.coordinates import are_images_hard, measure_pca_error
from latentia.diagnostics.run_context import MIN_PRIOR_STEPS, MIN_STEPS, RunContext
from latentia.diagnostics.validation_curve import (
    OVERFITTING_SHARE,
    find_overfitting,
    select_metric,
)

# falls in the second half of all learning; twice the epochs repeat about half of them
UNFINISHED_SHARE = 0.15  # of the total fall: complete runs of the recipes have 0.02 to 0.1
UNFINISHED_ERROR = 0.2  # of the mean squared error: a smaller gain is hardly visible
UNFINISHED_LOSS = 0.015  # of another metric
MIN_CLOSER = 0.2  # share of the variance from which reconstructions differ from the mean image


@define_check("interrupted", threshold="fewer than planned")
def interrupted_training(context: RunContext) -> CheckResult | None:
    """Steps taken at the last saved state, and steps planned.

    Suggested change: latentia resume RUN, or the command of latentia fit; none while it trains.
    """
    if context.complete or context.diverged:  # a diverged run would end at the same step again
        return None
    steps = f"{context.step:,} of {pluralize(context.total_steps, 'step')}"
    if owner := find_other_owner(context.run.lock_path):
        return CheckResult(
            NOTE,
            f"the run is being trained by {owner}; {steps} are saved.",
            "All findings describe these weights, which the training will improve.",
            {"step": context.step, "total": context.total_steps},
        )
    return CheckResult(
        WARNING,
        f"training stopped after {steps}.",
        "All findings describe the present weights, which further training will improve.",
        {"step": context.step, "total": context.total_steps},
        suggest.resume_training(context, context.run.path),
    )


@define_check(
    "few steps",
    threshold=f"fewer than {MIN_STEPS}; of a prior {MIN_PRIOR_STEPS:,}, unless its samples cover "
    f"{latents.GOOD_PRIOR_COVERAGE:.0%} of the decoded posterior draws",
    early=True,
)
def few_steps(context: RunContext) -> CheckResult | None:
    """Planned steps of the run.

    Suggested change: more --epochs.
    """
    if not context.has_few_steps or is_prior_learned(context):
        return None
    n_images = context.run.metadata["images"]["count"]["train"]
    consequence = (
        "It starts from principal components, and its coordinates carry as much as these. Its "
        "images, and the details of samples, need more steps."
        if context.starts_fitted
        else "After so few steps a network is still near its random start, and its images"
        f"{'' if context.is_prior else ' and coordinates'} say little about what it can learn."
    )
    return CheckResult(
        WARNING,
        f"the run has {pluralize(context.total_steps, 'step')} with "
        f"{pluralize(n_images, 'training image')}.",
        f"{consequence} Small data sets and large batches need more epochs.",
        {"steps": context.total_steps, "train": n_images},
        suggest.train_longer(context, min_factor=1),
    )


def is_prior_learned(context: RunContext) -> bool:
    """Whether the samples of a prior show that few steps were enough; before its end, some may."""
    if not context.is_prior:
        return False
    if context.early:
        return context.total_steps >= MIN_STEPS
    overlap = context.sample_overlap
    return overlap is not None and overlap.coverage >= latents.GOOD_PRIOR_COVERAGE


def find_half_rate_step(context: RunContext) -> float:
    """Return the step by which the schedule had spent half of the sum of its learning rates."""
    steps = [0, *(row["step"] for row in context.training_rows)]
    rates = [next(iter(row["players"].values()))["lr"] for row in context.training_rows]
    spent = np.cumsum([0.0, *np.diff(steps) * rates])
    return float(np.interp(spent[-1] / 2, spent, steps))


@define_check(
    "unfinished training",
    threshold=f"more than {UNFINISHED_SHARE:.0%} of its fall over the run, and of the mean squared "
    f"error {UNFINISHED_ERROR:.0%} of its value, or {UNFINISHED_LOSS:.1%} of a metric without one",
)
def unfinished_training(context: RunContext) -> CheckResult | None:
    """Fall of the validation metric since the schedule had spent half of the sum of its learning
    rates: a schedule that ends near 0 flattens the end of every run, finished or not.

    Suggested change: more --epochs.
    """
    name, values = select_metric(context)
    rate = latents.get_rate(context)
    if len(values) < 2 or not context.complete or context.is_short:
        return None
    if rate is not None and rate < latents.MIN_RATE:  # a collapse is another problem
        return None
    rows = context.validation_rows[-len(values) :]
    error = "mse" if "mse" in rows[-1]["values"] else name
    steps, half = [row["step"] for row in rows], find_half_rate_step(context)
    before, error_before = (
        np.interp(half, steps, [row["values"][key] for row in rows]) for key in (name, error)
    )
    recent_fall, total_fall = before - values[-1], values[0] - values.min()
    if not total_fall > 0 or recent_fall <= UNFINISHED_SHARE * total_fall:
        return None
    if values[-1] > values.min() + recent_fall:  # it only falls after a rise
        return None
    gain = 1 - rows[-1]["values"][error] / error_before
    if gain < (UNFINISHED_ERROR if error == "mse" else UNFINISHED_LOSS):
        return None
    label = "mean squared error" if error == "mse" else name
    return CheckResult(
        WARNING,
        f"{name} of the validation images fell by {format_with_error(recent_fall, None)} in the "
        f"second half of all learning (after step {half:,.0f} of {context.total_steps:,}, by the "
        f"sum of learning rates), {recent_fall / total_fall:.0%} of its fall in "
        f"{len(values)} epochs, and their {label} by {gain:.0%}.",
        "Twice the epochs would lower both further, by about half of that. The flat end of a curve "
        "is no sign of an end, since a falling learning rate flattens every curve.",
        {"fell": recent_fall, "fell_in_all": total_fall, "gain": gain},
        suggest.train_longer(context),
    )


@define_check("overfitting", threshold=f"more than {OVERFITTING_SHARE:.0%} of its fall before")
def overfitting(context: RunContext) -> CheckResult | None:
    """Rise of the validation metric since its best epoch, while the training loss falls.

    Suggested change: --epochs with the number of the best epoch.
    """
    if (curve := find_overfitting(context)) is None:
        return None
    return CheckResult(
        WARNING,
        f"{curve.name} of the validation images was best in epoch {curve.best_epoch} of "
        f"{curve.last_epoch} and has risen by {format_with_error(curve.rise, None)} since, "
        f"{curve.rise / curve.fall:.0%} of its fall before.",
        "The model memorizes its training images: what it says of new images gets worse.",
        {"best_epoch": curve.best_epoch, "epochs": curve.last_epoch, "risen": curve.rise},
        suggest.retrain_run(context, f"epochs{curve.best_epoch}", epochs=curve.best_epoch),
    )


@define_check("training did not help", threshold="the closed form is the best")
def training_did_not_help(context: RunContext) -> CheckResult | None:
    """Validation metric of the closed form, beside that of every epoch.

    Suggested change: more images; else use the run as it is.
    """
    name, values = select_metric(context)
    if not context.starts_fitted or len(values) < 2 or values.argmin() > 0:
        return None
    return CheckResult(
        NOTE,
        f"{name} of the validation images is {values[0]:.5g} by the closed form and at best "
        f"{values[1:].min():.5g} after training, so the run keeps the closed form.",
        "Its coordinates are those of a linear model, which may be all that so few images support.",
        {"closed_form": values[0], "trained": values[1:].min()},
    )


@define_check(
    "images not learned",
    threshold=f"below {latents.MIN_EXPLAINED:.0%}, at beta 1 or less or after few steps, with a "
    f"rate of at least {latents.MIN_RATE} nats, unless details are not described; a recall below "
    f"{MIN_COVERAGE:.0%} after few steps",
)
def images_not_learned(context: RunContext) -> CheckResult | None:
    """Share of the pixels' variance that decoded posterior means explain; of a model without an
    encoder the recall, the share of images that lie among its samples.

    Suggested change: --lr at the recipe's default, or more --epochs if the run does not overfit.
    """
    if not context.complete:
        return None
    if not context.has_latents:
        return samples_not_learned(context)
    rate, beta = latents.get_rate(context), latents.get_beta(context)
    if rate is None or rate < latents.MIN_RATE or ((beta or 0) > 1 and not context.is_short):
        return None
    explained = context.explained_variance
    if explained >= latents.MIN_EXPLAINED or are_images_hard(context):
        return None
    pca_mse, dims = measure_pca_error(context)
    pca_share = f"{1 - pca_mse / context.residual[1]:.0%}"
    text = f"{context.explanation}, and PCA with {pluralize(dims, 'dimension')} {pca_share}"
    commands = [] if context.is_short else suggest.reset_parameters(context, "lr")
    if commands:
        lr = context.parameters["lr"]
        text += f"; the learning rate, {lr:g}, is far from the recipe's default"
    else:
        min_factor = 1 if context.is_short else 3
        commands = suggest.train_longer(context, min_factor)
    consequence = (
        "Reconstructions and coordinates lack more than half of what distinguishes your images."
    )
    if explained < MIN_CLOSER:
        distance = "farther from" if explained < 0 else "hardly closer to"
        consequence = (
            f"A reconstruction is {distance} its image than the mean image is, so coordinates say "
            "little."
        )
    return CheckResult(
        ERROR,
        f"{text}.",
        consequence,
        {"explained": explained, "rate_nats": rate},
        commands,
    )


def samples_not_learned(context: RunContext) -> CheckResult | None:
    """Find samples unlike images after few steps; later, other checks say more about them."""
    overlap = context.sample_overlap if context.is_short else None
    if overlap is None or overlap.recall >= MIN_COVERAGE:
        return None
    return CheckResult(
        ERROR,
        f"{overlap.recall:.0%} of the images lie among the samples (recall; n = "
        f"{len(context.samples)}).",
        "Samples are unlike your images.",
        {"recall": overlap.recall},
        suggest.train_longer(context, 1),
    )
