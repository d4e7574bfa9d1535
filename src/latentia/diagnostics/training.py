"""Checks of training: unstable steps, clipping, an unfinished warm-up."""

import numpy as np

from latentia.core.contract import Role
from latentia.core.text import pluralize
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext

GROWTH_FACTOR = 10.0  # gradient norm, from the first half to the end; usual runs: 0.5 to 2
BURST_FACTOR = 100.0  # one log row over the median; usual runs: up to 5 after their first tenth
CLIPPED_SHARE = 0.9  # of the log rows of the second half
FINAL_WEIGHT_SHARE = 0.99  # of the final weight of the rate
FINAL_MULTIRATE_SHARE = 0.8  # a log row averages random betas, so its weight is noisy


@define_check("non-finite steps", threshold="one; ERROR if the run ended because of it")
def non_finite_steps(context: RunContext) -> CheckResult | None:
    """Training steps with a NaN or infinite loss, gradient or weight.

    Suggested change: --lr at the recipe's default, or a tenth; --precision fp32 if the recipe has
    no --lr.
    """
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


@define_check(
    "exploding gradients",
    threshold=f"at the end {GROWTH_FACTOR:g} times the first half's norm, or one row "
    f"{BURST_FACTOR:g} times the median",
)
def exploding_gradients(context: RunContext) -> CheckResult | None:
    """Norm of each player's gradient before clipping, log row by log row.

    Suggested change: --lr at the recipe's default, or a tenth.
    """
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


@define_check("clipping always bites", threshold=f"{CLIPPED_SHARE:.0%}")
def constant_clipping(context: RunContext) -> CheckResult | None:
    """Share of the second half's log rows whose gradient norm is above the clip.

    Suggested change: --clip above the usual norm.
    """
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


@define_check("KL warm-up unfinished", threshold=f"below {FINAL_WEIGHT_SHARE:.0%} of it")
def unfinished_kl_warmup(context: RunContext) -> CheckResult | None:
    """Weight of the rate in the last log row, and its final value.

    Suggested change: --kl-schedule linear, which ends at half of the run.
    """
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
