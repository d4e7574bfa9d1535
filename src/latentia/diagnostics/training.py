"""Checks of training: unstable steps, too few or too many epochs, interruptions."""

import math

import numpy as np

from latentia.core.contract import Role
from latentia.core.text import pluralize
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_EXPLAINED, MIN_RATE, get_beta, get_rate
from latentia.diagnostics.run_context import MIN_PRIOR_STEPS, MIN_STEPS, RunContext

UNFINISHED_SHARE = 0.05  # of the total fall: complete runs of the recipes end with 0 to 0.05
NEGLIGIBLE_FALL = 0.015  # of the metric itself: a smaller gain is no reason to train again
OVERFITTING_SHARE = 0.05  # of the total fall: validation noise is below 0.01
TARGET_STEPS = 1500  # of the suggested training, at least
GROWTH_FACTOR = 10.0  # gradient norm, from the first half to the end; usual runs: 0.5 to 2
BURST_FACTOR = 100.0  # one log row over the median; usual runs: up to 5 after their first tenth
CLIPPED_SHARE = 0.9  # of the log rows of the second half
FINAL_WEIGHT_SHARE = 0.99  # of the final weight of the rate
FINAL_MULTIRATE_SHARE = 0.8  # a log row averages random betas, so its weight is noisy


@define_check(
    "non-finite steps",
    threshold="one; ERROR if the run ended because of it",
    advice="--lr at the recipe's default, or a tenth; --precision fp32 if the recipe has no --lr",
)
def non_finite_steps(context: RunContext) -> CheckResult | None:
    """Training steps with a NaN or infinite loss, gradient or weight."""
    if not (rows := context.non_finite_rows):
        return None
    outcome = "the run ended" if context.diverged else "the learning rate was halved"
    return CheckResult(
        ERROR if context.diverged else WARNING,
        f"{pluralize(len(rows), 'step')} had NaN or infinite values, and {outcome}. "
        f"First: {rows[0]['text']}",
        "The usual cause is the learning rate, since images are checked before the first step. "
        "The saved weights are from before the last such step: do not use them for results.",
        {"times": len(rows), "step": rows[0]["step"]},
        suggest.lower_learning_rate(context)
        or suggest.retrain_run(context, "fp32", precision="fp32"),
    )


@define_check("interrupted", threshold="fewer than planned", advice="latentia resume RUN")
def interrupted_training(context: RunContext) -> CheckResult | None:
    """Steps taken at the last saved state, and steps planned."""
    if context.complete or context.diverged:  # a diverged run would end at the same step again
        return None
    return CheckResult(
        WARNING,
        f"training stopped after {context.step:,} of {pluralize(context.total_steps, 'step')}.",
        "All findings describe the present weights, which further training will improve.",
        {"step": context.step, "total": context.total_steps},
        suggest.resume_training(context, context.run.path),
    )


@define_check(
    "few steps",
    threshold=f"fewer than {MIN_STEPS}; for a learned prior {MIN_PRIOR_STEPS:,}",
    advice="more --epochs",
    early=True,
)
def few_steps(context: RunContext) -> CheckResult | None:
    """Planned steps of the run."""
    if not context.is_short:
        return None
    n_images = context.run.metadata["images"]["count"]["train"]
    return CheckResult(
        WARNING,
        f"the run has {pluralize(context.total_steps, 'step')} with "
        f"{pluralize(n_images, 'training image')}.",
        "After so few steps a network is still near its random start. Small data sets need more "
        "epochs.",
        {"steps": context.total_steps, "train": n_images},
        suggest.train_longer(context, math.ceil(1.5 * context.min_steps), min_factor=1),
    )


def select_metric(context: RunContext) -> tuple[str, np.ndarray]:
    """Return the validation metric that should fall, epoch by epoch; none with an adversary."""
    critic_loss = context.read_monitor("critic loss")
    if len(critic_loss) and np.isfinite(critic_loss[-1]):
        return "", np.empty(0)
    metrics = context.validation_rows[-1]["values"] if context.validation_rows else {}
    name = "nelbo" if "nelbo" in metrics else next(iter(metrics), "")
    return name, context.read_validation_metric(name)


@define_check(
    "unfinished training",
    threshold=f"more than {UNFINISHED_SHARE:.0%} of its fall over the run; NOTE: less than "
    f"{NEGLIGIBLE_FALL:.1%} of the metric itself",
    advice="more --epochs",
)
def unfinished_training(context: RunContext) -> CheckResult | None:
    """Fall of the validation metric over the last quarter of the epochs."""
    name, values = select_metric(context)
    if len(values) < 3 or not context.complete:
        return None
    recent_fall = values[-1 - max(1, len(values) // 4)] - values[-1]
    total_fall = values[0] - values.min()
    if not total_fall > 0 or recent_fall <= UNFINISHED_SHARE * total_fall:
        return None
    if values[-1] > values.min() + recent_fall:  # it only falls after a rise
        return None
    return CheckResult(
        NOTE if recent_fall < NEGLIGIBLE_FALL * abs(values[-1]) else WARNING,
        f"{name} of the validation images still fell by {recent_fall:.3g} in the last quarter, "
        f"{recent_fall / total_fall:.0%} of its fall in {len(values)} epochs.",
        "More epochs would improve images and coordinates and only cost time.",
        {"fell": recent_fall, "fell_in_all": total_fall},
        suggest.train_longer(context, 2 * MIN_PRIOR_STEPS if context.is_prior else TARGET_STEPS),
    )


def is_training_loss_falling(context: RunContext, epoch: int) -> bool:
    """Whether a VAE's training loss fell after an epoch; if not, beta or a schedule rose."""
    distortion, rate = context.read_role(Role.RECONSTRUCTION), context.read_role(Role.KL)
    is_before = np.array([row.get("epoch", 0) <= epoch for row in context.training_rows])
    if not len(is_before) == len(distortion) == len(rate) or not is_before.any():
        return True
    nelbo = distortion + rate
    return bool(nelbo[-1] < nelbo[is_before][-1])


@define_check(
    "overfitting",
    threshold=f"more than {OVERFITTING_SHARE:.0%} of its fall before",
    advice="--epochs with the number of the best epoch",
)
def overfitting(context: RunContext) -> CheckResult | None:
    """Rise of the validation metric since its best epoch, while the training loss falls."""
    name, values = select_metric(context)
    if len(values) < 4:
        return None
    best, epoch = values.min(), int(values.argmin()) + 1
    rise, fall = values[-1] - best, values[0] - best
    if not fall > 0 or rise <= OVERFITTING_SHARE * fall:
        return None
    if not is_training_loss_falling(context, epoch):
        return None
    return CheckResult(
        WARNING,
        f"{name} of the validation images was best in epoch {epoch} of {len(values)} and has risen "
        f"by {rise:.3g} since, {rise / fall:.0%} of its fall before.",
        "The model memorizes its training images: the coordinates of new images get worse.",
        {"best_epoch": epoch, "epochs": len(values), "risen": rise},
        suggest.retrain_run(context, f"epochs{epoch}", epochs=epoch),
    )


@define_check(
    "exploding gradients",
    threshold=f"at the end {GROWTH_FACTOR:g} times the first half's norm, or one row "
    f"{BURST_FACTOR:g} times the median",
    advice="--lr at the recipe's default, or a tenth",
)
def exploding_gradients(context: RunContext) -> CheckResult | None:
    """Norm of each player's gradient before clipping, log row by log row."""
    for player in context.players:
        norms = context.read_gradient_norms(player)
        norms = norms[len(norms) // 10 + 1 :]  # the first gradients of a network are large
        clip = context.plan.optim[player].clip
        if len(norms) < 8 or not np.median(norms) or (clip is not None and norms.max() >= clip):
            continue  # the player does not move, or clipping limits its gradient
        median = np.median(norms)
        growth = np.median(norms[-len(norms) // 4 :]) / np.median(norms[: len(norms) // 2])
        burst = norms.max() / median
        if growth < GROWTH_FACTOR and burst < BURST_FACTOR:
            continue
        grown = f"grew {growth:.3g}-fold, and its" if growth >= GROWTH_FACTOR else "had bursts: its"
        return CheckResult(
            WARNING,
            f"the gradient of {player} {grown} largest norm was {burst:.3g} times the median of "
            f"{median:.3g}.",
            "Single steps can destroy what earlier ones have learned, so results depend on chance.",
            {"grown": growth, "burst": burst},
            suggest.lower_learning_rate(context),
        )
    return None


@define_check(
    "clipping always bites", threshold=f"{CLIPPED_SHARE:.0%}", advice="--clip above the usual norm"
)
def constant_clipping(context: RunContext) -> CheckResult | None:
    """Share of the second half's log rows whose gradient norm is above the clip."""
    for player in context.players:
        clip, norms = context.plan.optim[player].clip, context.read_gradient_norms(player)
        norms = norms[len(norms) // 2 :]
        if clip is None or len(norms) < 4 or (share := np.mean(norms > clip)) < CLIPPED_SHARE:
            continue
        new_clip, norm = float(f"{2 * norms.max():.1g}"), float(np.median(norms))
        return CheckResult(
            WARNING,
            f"the gradient of {player} was clipped to {clip:g} in {share:.0%} of the second half's "
            f"log rows; its median norm there is {norm:.3g}.",
            "All steps have the same length, however far the optimum is: training is slow, and "
            "clipping replaces the learning rate.",
            {"clip": clip, "norm": norm, "share": float(share)},
            suggest.retrain_run(context, f"clip{new_clip:g}", clip=new_clip),
        )
    return None


@define_check(
    "KL warm-up unfinished",
    threshold=f"below {FINAL_WEIGHT_SHARE:.0%} of it",
    advice="--kl-schedule linear, which ends at half of the run",
)
def unfinished_kl_warmup(context: RunContext) -> CheckResult | None:
    """Weight of the rate in the last log row, and its final value."""
    weights, schedule = context.read_role(Role.KL, "weights"), getattr(context.model, "beta", None)
    if not len(weights) or schedule is None or not context.complete:
        return None
    weight, final, share = weights[-1], schedule(1.0), FINAL_WEIGHT_SHARE  # pyright: ignore
    if context.run.beta_range:
        final, share = final * context.model.dial.mean_beta(), FINAL_MULTIRATE_SHARE  # pyright: ignore
    if not final or not weight or weight >= share * final:  # weight 0: a modifier replaces the rate
        return None
    modifiers = {"kl_schedule": {"kl_schedule": "linear", "kl_warmup": 0.0, "kl_until": 0.5}}
    return CheckResult(
        WARNING,
        f"the weight of the rate ended at {weight:.3g}, below its final {final:.3g}.",
        "The model was never trained on the requested objective, so its samples are worse.",
        {"reached": float(weight), "final": float(final)},
        suggest.retrain_run(context, "warmup", modifiers=modifiers),
    )


@define_check(
    "images not learned",
    threshold=f"below {MIN_EXPLAINED:.0%}, at beta 1 or less, with a rate of at least {MIN_RATE} "
    "nats and enough steps",
    advice="--lr at the recipe's default; else more --epochs",
)
def images_not_learned(context: RunContext) -> CheckResult | None:
    """Share of the pixels' variance that decoded posterior means explain."""
    rate, beta = get_rate(context), get_beta(context)
    if rate is None or rate < MIN_RATE or (beta or 0) > 1 or not context.has_latents:
        return None
    if not context.complete or context.is_short:
        return None
    if (explained := context.explained_variance) >= MIN_EXPLAINED:
        return None
    text = f"reconstructions explain {max(0.0, explained):.0%} of the pixels' variance"
    if commands := suggest.reset_parameters(context, "lr"):
        lr = context.parameters["lr"]
        text += f"; the learning rate, {lr:g}, is far from the recipe's default"
    return CheckResult(
        ERROR,
        f"{text}.",
        "A reconstruction is hardly closer to its image than the mean image is, so coordinates "
        "say little.",
        {"explained": explained, "rate_nats": rate},
        commands or suggest.train_longer(context, TARGET_STEPS),
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
