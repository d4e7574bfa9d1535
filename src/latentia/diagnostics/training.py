"""Illnesses of a training: steps that blew up, ended too soon, went on too long or were cut."""

import math

import numpy as np

from latentia.core.text import pluralize
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_EXPLAINED_VARIANCE, MIN_RATE, get_beta, get_rate
from latentia.diagnostics.run_context import MIN_PRIOR_STEPS, MIN_STEPS, RunContext

UNFINISHED_SHARE = (
    0.05  # of all that was gained: complete runs of the recipes gained 0 to 0.05 at the end
)
NEGLIGIBLE_FALL = (
    0.015  # of the figure itself: what is left to gain is no reason not to use the run
)
OVERFITTING_SHARE = 0.05  # likewise: noise of the validation moves it by less than 0.01
TARGET_STEPS = 1500  # steps that the cure asks for, at least
GROWTH_FACTOR = 10.0  # the gradient's norm, from the first half to the end; healthy runs: 0.5 to 2
BURST_FACTOR = 100.0  # one log row over the median; healthy runs: up to 5 after their first tenth
CLIPPED_SHARE = 0.9  # of the log rows of the second half
FINAL_WEIGHT_SHARE = 0.99  # of the final weight of the rate


@define_check(
    "non-finite steps",
    evidence="steps whose loss, gradient or weights were no finite number, as the engine met them",
    threshold="one; ERROR if the run ended by it",
    advice="--lr at the recipe's own, or a tenth; --precision fp32 where there is none",
)
def non_finite_steps(context: RunContext) -> CheckResult | None:
    if not context.non_finite_rows:
        return None
    first_text, n_steps = context.non_finite_rows[0]["text"], len(context.non_finite_rows)
    outcome = "the run ended" if context.diverged else "the learning rate was halved"
    return CheckResult(
        ERROR if context.diverged else WARNING,
        f"Of {pluralize(n_steps, 'step')} not all was finite, and {outcome}. First: {first_text}",
        "The usual cause is the learning rate: images were checked before the first step. What is "
        "kept is the state before the last such step: use it only to look at.",
        {"times": n_steps, "step": context.non_finite_rows[0]["step"]},
        suggested_commands.lower_learning_rate(context)
        or suggested_commands.retrain(context, "fp32", precision="fp32"),
    )


@define_check(
    "interrupted",
    evidence="steps taken, of those planned, at the last state saved",
    threshold="fewer than planned",
    advice="latentia resume RUN",
)
def interrupted_training(context: RunContext) -> CheckResult | None:
    if context.complete or context.diverged:
        return None  # where it ended, to go on would end in the same step
    return CheckResult(
        WARNING,
        f"It was stopped after {context.step:,} of {pluralize(context.total_steps, 'step')}.",
        "What is found here holds for the weights as they are now; they will be better.",
        {"step": context.step, "total": context.total_steps},
        suggested_commands.suggest_resume(context.run.path),
    )


@define_check(
    "few steps",
    evidence="steps of the whole run",
    threshold=f"fewer than {MIN_STEPS}; of a learned prior {MIN_PRIOR_STEPS:,}",
    advice="more --epochs",
    early=True,
)
def few_steps(context: RunContext) -> CheckResult | None:
    if not context.is_short:
        return None
    n_images = context.run.metadata["images"]["count"]["train"]
    return CheckResult(
        WARNING,
        f"the run has {pluralize(context.total_steps, 'step')}, with {pluralize(n_images, 'training image')}.",
        "So few steps leave a network near its random start. Small data need more passes.",
        {"steps": context.total_steps, "train": n_images},
        suggested_commands.train_longer(context, math.ceil(1.5 * context.min_steps), min_factor=1),
    )


def select_metric(context: RunContext) -> tuple[str, np.ndarray]:
    """The validation figure that tells progress, epoch by epoch; nothing if there is none, or an
    adversary, against whom none is meant to fall."""
    if len(context.read_monitor("critic loss")) and np.isfinite(
        context.read_monitor("critic loss")[-1]
    ):
        return "", np.empty(0)
    values = context.validation_rows[-1]["values"] if context.validation_rows else {}
    name = "nelbo" if "nelbo" in values else next(iter(values), "")
    return name, context.read_validation_metric(name)


@define_check(
    "unfinished training",
    evidence="fall of the validation figure over the last quarter of the epochs",
    threshold=f"more than {UNFINISHED_SHARE:.0%} of its fall over the run; NOTE: less than {NEGLIGIBLE_FALL:.1%} of "
    "the figure itself",
    advice="more --epochs",
)
def unfinished_training(context: RunContext) -> CheckResult | None:
    name, values = select_metric(context)
    if len(values) < 3 or not context.complete:
        return None
    recent_fall = values[-1 - max(1, len(values) // 4)] - values[-1]
    total_fall = values[0] - values.min()
    if (
        not total_fall > 0
        or recent_fall <= UNFINISHED_SHARE * total_fall
        or values[-1] > values.min() + recent_fall
    ):
        return None  # nor is it unfinished where it falls from a rise
    return CheckResult(
        NOTE if recent_fall < NEGLIGIBLE_FALL * abs(values[-1]) else WARNING,
        f"{name} of the validation images still fell by {recent_fall:.3g} in the last quarter, "
        f"{recent_fall / total_fall:.0%} of its fall in {len(values)} epochs.",
        "More passes would give better images and coordinates for nothing but time.",
        {"fell": recent_fall, "fell_in_all": total_fall},
        suggested_commands.train_longer(
            context, 2 * MIN_PRIOR_STEPS if context.is_prior else TARGET_STEPS
        ),
    )


def is_training_loss_falling(context: RunContext, epoch: int) -> bool:
    """Of a VAE, the training figure: where both rise, it is by beta or the like."""
    distortion, rate = context.read_term("distortion"), context.read_term("rate")
    is_before = np.array([row.get("epoch", 0) <= epoch for row in context.training_rows])
    if not len(is_before) == len(distortion) == len(rate) or not is_before.any():
        return True
    nelbo = distortion + rate
    return bool(nelbo[-1] < nelbo[is_before][-1])


@define_check(
    "overfitting",
    evidence="rise of the validation figure since its best epoch, while that of training falls",
    threshold=f"more than {OVERFITTING_SHARE:.0%} of its fall before",
    advice="--epochs as many as the best had",
)
def overfitting(context: RunContext) -> CheckResult | None:
    name, values = select_metric(context)
    if len(values) < 4:
        return None
    best_index = int(values.argmin())
    rise, fall = values[-1] - values[best_index], values[0] - values[best_index]
    if (
        not fall > 0
        or rise <= OVERFITTING_SHARE * fall
        or not is_training_loss_falling(context, best_index + 1)
    ):
        return None
    return CheckResult(
        WARNING,
        f"{name} of the validation images was best in epoch {best_index + 1} of {len(values)} and has "
        f"risen by {rise:.3g} since, {rise / fall:.0%} of what it had fallen.",
        "The model learns its training images by heart: new images of yours get worse coordinates.",
        {"best_epoch": best_index + 1, "epochs": len(values), "risen": rise},
        suggested_commands.retrain(context, f"epochs{best_index + 1}", epochs=best_index + 1),
    )


@define_check(
    "exploding gradients",
    evidence="norm of each player's gradient, log row by log row, before clipping",
    threshold=f"{GROWTH_FACTOR:g} times the first half's at the end, or one row {BURST_FACTOR:g} times the median",
    advice="--lr at the recipe's own, or a tenth",
)
def exploding_gradients(context: RunContext) -> CheckResult | None:
    for player in context.players:
        norms = context.read_gradient_norms(player)
        norms = norms[len(norms) // 10 + 1 :]  # a network far from its data starts steep
        clip = context.plan.optim[player].clip
        if len(norms) < 8 or not np.median(norms) or (clip is not None and norms.max() >= clip):
            continue  # it stands still, or is held by the clip
        first_half_norm, last_norm = (
            np.median(norms[: len(norms) // 2]),
            np.median(norms[-len(norms) // 4 :]),
        )
        growth, burst = last_norm / first_half_norm, norms.max() / np.median(norms)
        if growth < GROWTH_FACTOR and burst < BURST_FACTOR:
            continue
        return CheckResult(
            WARNING,
            f"the gradient of {player} "
            + (f"grew {growth:.3g}-fold to its end" if growth >= GROWTH_FACTOR else "burst")
            + f": it was once {burst:.3g} times its median of {np.median(norms):.3g}.",
            "Single steps throw the weights away from what was learned; results depend on chance.",
            {"grown": growth, "burst": burst},
            suggested_commands.lower_learning_rate(context),
        )
    return None


@define_check(
    "clipping always bites",
    evidence="share of the second half's log rows whose gradient norm is above the clip",
    threshold=f"{CLIPPED_SHARE:.0%}",
    advice="--clip above the usual norm",
)
def constant_clipping(context: RunContext) -> CheckResult | None:
    for player in context.players:
        clip, norms = context.plan.optim[player].clip, context.read_gradient_norms(player)
        norms = norms[len(norms) // 2 :]
        if clip is None or len(norms) < 4 or (share := np.mean(norms > clip)) < CLIPPED_SHARE:
            continue
        new_clip, norm = float(f"{2 * norms.max():.1g}"), float(np.median(norms))
        return CheckResult(
            WARNING,
            f"the gradient of {player} was cut to {clip:g} in {share:.0%} of the second half's log "
            f"rows; its norm there is {norm:.3g}.",
            "Every step has the same length, however far there is to go: training is slow, and the "
            "learning rate does not mean what it says.",
            {"clip": clip, "norm": norm, "share": float(share)},
            suggested_commands.retrain(context, f"clip{new_clip:g}", clip=new_clip),
        )
    return None


@define_check(
    "KL warm-up unfinished",
    evidence="weight of the rate in the last log row, and its final value",
    threshold=f"below {FINAL_WEIGHT_SHARE:.0%} of it",
    advice="--kl-schedule linear, which ends by half of the run",
)
def unfinished_kl_warmup(context: RunContext) -> CheckResult | None:
    weights, schedule = context.read_term("rate", "weights"), getattr(context.model, "beta", None)
    if not len(weights) or schedule is None or not context.complete:
        return None
    final_weight = schedule(1.0)  # pyright: ignore[reportCallIssue]
    required_share = FINAL_WEIGHT_SHARE
    if context.run.beta_range and final_weight:  # of betas that are drawn: the row's mean strays
        final_weight, required_share = final_weight * context.model.dial.mean(), 0.8  # pyright: ignore
    if not final_weight or not weights[-1] or weights[-1] >= required_share * final_weight:
        return None  # 0: something else stands in the rate's place
    modifiers = {"kl_schedule": {"kl_schedule": "linear", "kl_warmup": 0.0, "kl_until": 0.5}}
    return CheckResult(
        WARNING,
        f"the weight of the rate ended at {weights[-1]:.3g}, below its final {final_weight:.3g}.",
        "The objective that was asked for was never trained on; samples are worse for it.",
        {"reached": float(weights[-1]), "final": float(final_weight)},
        suggested_commands.retrain(context, "warmup", modifiers=modifiers),
    )


@define_check(
    "images not learned",
    evidence="share of the pixels' variance that decoded posterior means explain",
    threshold=f"below {MIN_EXPLAINED_VARIANCE:.0%}, at beta 1 or less, with some rate and steps enough",
    advice="--lr at the recipe's own; else more --epochs",
)
def images_not_learned(context: RunContext) -> CheckResult | None:
    rate, beta = get_rate(context), get_beta(context)
    if rate is None or rate < MIN_RATE or (beta or 0) > 1 or not context.has_latents:
        return None
    if not context.complete or context.is_short:
        return None
    if (explained_share := context.explained_variance) >= MIN_EXPLAINED_VARIANCE:
        return None
    default_lr_commands = suggested_commands.reset_parameters(context, "lr")
    return CheckResult(
        ERROR,
        f"reconstructions explain {max(0.0, explained_share):.0%} of the pixels' variance"
        + (
            f"; the learning rate, {context.parameters['lr']:g}, is not the recipe's."
            if default_lr_commands
            else "."
        ),
        "What is drawn is hardly nearer to an image than the mean image: coordinates say little.",
        {"explained": explained_share, "rate_nats": rate},
        default_lr_commands or suggested_commands.train_longer(context, TARGET_STEPS),
    )


CHECKS = (
    non_finite_steps,
    interrupted_training,
    images_not_learned,
    few_steps,
    overfitting,
    exploding_gradients,
    constant_clipping,
    unfinished_kl_warmup,
)
