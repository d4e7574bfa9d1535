"""Illnesses of a training: steps that blew up, ended too soon, went on too long or were cut."""

import math

import numpy as np

from latentia.core.text import counted
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ILL, NOTE, WARN, Diagnosis, check
from latentia.diagnostics.latents import EXPLAINED, NATS, beta_of, rate_of
from latentia.diagnostics.run_context import PRIOR_STEPS, STEPS, Patient

FALLING = 0.05  # of all that was gained: complete runs of the recipes gained 0 to 0.05 at the end
LITTLE = 0.015  # of the figure itself: what is left to gain is no reason not to use the run
RISEN = 0.05  # likewise: noise of the validation moves it by less than 0.01
GOAL = 1500  # steps that the cure asks for, at least
GROWN = 10.0  # the gradient's norm, from the first half to the end; healthy runs: 0.5 to 2
BURST = 100.0  # one log row over the median; healthy runs: up to 5 after their first tenth
BITES = 0.9  # of the log rows of the second half
REACHED = 0.99  # of the final weight of the rate


@check(
    "non-finite steps",
    evidence="steps whose loss, gradient or weights were no finite number, as the engine met them",
    threshold="one; ILL if the run ended by it",
    cure="--lr at the recipe's own, or a tenth; --precision fp32 where there is none",
)
def non_finite(patient: Patient) -> Diagnosis | None:
    if not patient.incidents:
        return None
    first, times = patient.incidents[0]["text"], len(patient.incidents)
    then = "the run ended" if patient.diverged else "the learning rate was halved"
    return Diagnosis(
        ILL if patient.diverged else WARN,
        f"Of {counted(times, 'step')} not all was finite, and {then}. First: {first}",
        "The usual cause is the learning rate: images were checked before the first step. What is "
        "kept is the state before the last such step: use it only to look at.",
        {"times": times, "step": patient.incidents[0]["step"]},
        suggested_commands.slower(patient)
        or suggested_commands.train(patient, "fp32", precision="fp32"),
    )


@check(
    "interrupted",
    evidence="steps taken, of those planned, at the last state saved",
    threshold="fewer than planned",
    cure="latentia resume RUN",
)
def interrupted(patient: Patient) -> Diagnosis | None:
    if patient.complete or patient.diverged:
        return None  # where it ended, to go on would end in the same step
    return Diagnosis(
        WARN,
        f"It was stopped after {patient.step:,} of {counted(patient.total, 'step')}.",
        "What is found here holds for the weights as they are now; they will be better.",
        {"step": patient.step, "total": patient.total},
        suggested_commands.resume(patient.run.path),
    )


@check(
    "few steps",
    evidence="steps of the whole run",
    threshold=f"fewer than {STEPS}; of a learned prior {PRIOR_STEPS:,}",
    cure="more --epochs",
    early=True,
)
def few_steps(patient: Patient) -> Diagnosis | None:
    if not patient.brief:
        return None
    n = patient.run.metadata["images"]["count"]["train"]
    return Diagnosis(
        WARN,
        f"the run has {counted(patient.total, 'step')}, with {counted(n, 'training image')}.",
        "So few steps leave a network near its random start. Small data need more passes.",
        {"steps": patient.total, "train": n},
        suggested_commands.longer(patient, math.ceil(1.5 * patient.enough), least=1),
    )


def selection(patient: Patient) -> tuple[str, np.ndarray]:
    """The validation figure that tells progress, epoch by epoch; nothing if there is none, or an
    adversary, against whom none is meant to fall."""
    if len(patient.gauge("critic loss")) and np.isfinite(patient.gauge("critic loss")[-1]):
        return "", np.empty(0)
    values = patient.validated[-1]["values"] if patient.validated else {}
    name = "nelbo" if "nelbo" in values else next(iter(values), "")
    return name, patient.score(name)


@check(
    "unfinished training",
    evidence="fall of the validation figure over the last quarter of the epochs",
    threshold=f"more than {FALLING:.0%} of its fall over the run; NOTE: less than {LITTLE:.1%} of "
    "the figure itself",
    cure="more --epochs",
)
def unfinished(patient: Patient) -> Diagnosis | None:
    name, values = selection(patient)
    if len(values) < 3 or not patient.complete:
        return None
    lately = values[-1 - max(1, len(values) // 4)] - values[-1]
    gained = values[0] - values.min()
    if not gained > 0 or lately <= FALLING * gained or values[-1] > values.min() + lately:
        return None  # nor is it unfinished where it falls from a rise
    return Diagnosis(
        NOTE if lately < LITTLE * abs(values[-1]) else WARN,
        f"{name} of the validation images still fell by {lately:.3g} in the last quarter, "
        f"{lately / gained:.0%} of its fall in {len(values)} epochs.",
        "More passes would give better images and coordinates for nothing but time.",
        {"fell": lately, "fell_in_all": gained},
        suggested_commands.longer(patient, 2 * PRIOR_STEPS if patient.prior else GOAL),
    )


def still_fell(patient: Patient, epoch: int) -> bool:
    """Of a VAE, the training figure: where both rise, it is by beta or the like."""
    distortion, rate = patient.term("distortion"), patient.term("rate")
    before = np.array([row.get("epoch", 0) <= epoch for row in patient.logged])
    if not len(before) == len(distortion) == len(rate) or not before.any():
        return True
    nelbo = distortion + rate
    return bool(nelbo[-1] < nelbo[before][-1])


@check(
    "overfitting",
    evidence="rise of the validation figure since its best epoch, while that of training falls",
    threshold=f"more than {RISEN:.0%} of its fall before",
    cure="--epochs as many as the best had",
)
def overfitting(patient: Patient) -> Diagnosis | None:
    name, values = selection(patient)
    if len(values) < 4:
        return None
    best = int(values.argmin())
    risen, gained = values[-1] - values[best], values[0] - values[best]
    if not gained > 0 or risen <= RISEN * gained or not still_fell(patient, best + 1):
        return None
    return Diagnosis(
        WARN,
        f"{name} of the validation images was best in epoch {best + 1} of {len(values)} and has "
        f"risen by {risen:.3g} since, {risen / gained:.0%} of what it had fallen.",
        "The model learns its training images by heart: new images of yours get worse coordinates.",
        {"best_epoch": best + 1, "epochs": len(values), "risen": risen},
        suggested_commands.train(patient, f"epochs{best + 1}", epochs=best + 1),
    )


@check(
    "exploding gradients",
    evidence="norm of each player's gradient, log row by log row, before clipping",
    threshold=f"{GROWN:g} times the first half's at the end, or one row {BURST:g} times the median",
    cure="--lr at the recipe's own, or a tenth",
)
def exploding(patient: Patient) -> Diagnosis | None:
    for player in patient.players:
        norms = patient.norms(player)
        norms = norms[len(norms) // 10 + 1 :]  # a network far from its data starts steep
        clip = patient.plan.optim[player].clip
        if len(norms) < 8 or not np.median(norms) or (clip is not None and norms.max() >= clip):
            continue  # it stands still, or is held by the clip
        half, end = np.median(norms[: len(norms) // 2]), np.median(norms[-len(norms) // 4 :])
        grown, burst = end / half, norms.max() / np.median(norms)
        if grown < GROWN and burst < BURST:
            continue
        return Diagnosis(
            WARN,
            f"the gradient of {player} "
            + (f"grew {grown:.3g}-fold to its end" if grown >= GROWN else "burst")
            + f": it was once {burst:.3g} times its median of {np.median(norms):.3g}.",
            "Single steps throw the weights away from what was learned; results depend on chance.",
            {"grown": grown, "burst": burst},
            suggested_commands.slower(patient),
        )
    return None


@check(
    "clipping always bites",
    evidence="share of the second half's log rows whose gradient norm is above the clip",
    threshold=f"{BITES:.0%}",
    cure="--clip above the usual norm",
)
def clipped(patient: Patient) -> Diagnosis | None:
    for player in patient.players:
        clip, norms = patient.plan.optim[player].clip, patient.norms(player)
        norms = norms[len(norms) // 2 :]
        if clip is None or len(norms) < 4 or (share := np.mean(norms > clip)) < BITES:
            continue
        wider, norm = float(f"{2 * norms.max():.1g}"), float(np.median(norms))
        return Diagnosis(
            WARN,
            f"the gradient of {player} was cut to {clip:g} in {share:.0%} of the second half's log "
            f"rows; its norm there is {norm:.3g}.",
            "Every step has the same length, however far there is to go: training is slow, and the "
            "learning rate does not mean what it says.",
            {"clip": clip, "norm": norm, "share": float(share)},
            suggested_commands.train(patient, f"clip{wider:g}", clip=wider),
        )
    return None


@check(
    "KL warm-up unfinished",
    evidence="weight of the rate in the last log row, and its final value",
    threshold=f"below {REACHED:.0%} of it",
    cure="--kl-schedule linear, which ends by half of the run",
)
def warmup(patient: Patient) -> Diagnosis | None:
    weights, schedule = patient.term("rate", "weights"), getattr(patient.model, "beta", None)
    if not len(weights) or schedule is None or not patient.complete:
        return None
    final = schedule(1.0)  # pyright: ignore[reportCallIssue]
    share = REACHED
    if patient.run.beta_range and final:  # of betas that are drawn: the row's mean strays
        final, share = final * patient.model.dial.mean(), 0.8  # pyright: ignore
    if not final or not weights[-1] or weights[-1] >= share * final:
        return None  # 0: something else stands in the rate's place
    edit = {"kl_schedule": {"kl_schedule": "linear", "kl_warmup": 0.0, "kl_until": 0.5}}
    return Diagnosis(
        WARN,
        f"the weight of the rate ended at {weights[-1]:.3g}, below its final {final:.3g}.",
        "The objective that was asked for was never trained on; samples are worse for it.",
        {"reached": float(weights[-1]), "final": float(final)},
        suggested_commands.train(patient, "warmup", edits=edit),
    )


@check(
    "images not learned",
    evidence="share of the pixels' variance that decoded posterior means explain",
    threshold=f"below {EXPLAINED:.0%}, at beta 1 or less, with some rate and steps enough",
    cure="--lr at the recipe's own; else more --epochs",
)
def dull(patient: Patient) -> Diagnosis | None:
    rate, beta = rate_of(patient), beta_of(patient)
    if rate is None or rate < NATS or (beta or 0) > 1 or not patient.has_latents:
        return None
    if not patient.complete or patient.brief:
        return None
    if (explained := patient.explained) >= EXPLAINED:
        return None
    other = suggested_commands.restored(patient, "lr")
    return Diagnosis(
        ILL,
        f"reconstructions explain {max(0.0, explained):.0%} of the pixels' variance"
        + (f"; the learning rate, {patient.knobs['lr']:g}, is not the recipe's." if other else "."),
        "What is drawn is hardly nearer to an image than the mean image: coordinates say little.",
        {"explained": explained, "rate_nats": rate},
        other or suggested_commands.longer(patient, GOAL),
    )


CHECKS = (non_finite, interrupted, dull, few_steps, overfitting, exploding, clipped, warmup)
