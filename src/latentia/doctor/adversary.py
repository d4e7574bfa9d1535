"""Illnesses of a duel: who wins it, whether it moves, and what the generator draws in the end."""

import math
from typing import Any

import numpy as np

from latentia.doctor import cure
from latentia.doctor.finding import ILL, NOTE, WARN, Diagnosis, check
from latentia.doctor.latents import ENOUGH, slower
from latentia.doctor.patient import Patient
from latentia.models.gauges import MEMORY, spread

LOST = 0.03  # nats of critic loss; healthy duels stay above 0.15, a coin costs 1.39 (pairs: 0.69)
COIN = 0.95  # of the loss of a coin
EARLY = 0.25  # share of the run before which generators draw one grey picture and recover
GREY = 0.3  # of the real images' spread; healthy samples have 0.8 to 1
FEW, SOME = 0.1, 0.6  # of held-out images with a sample nearby; healthy GANs reach 0.85 to 0.9
FAINT = 0.01  # of the steepest gradient that the generator had
COSMETIC = 0.02  # of the distortion's gradient: less than two degrees of the update's direction
MODERN = "mnist_gan"  # the recipe whose loss and penalties hold a duel in balance


def told(patient: Patient, name: str) -> np.ndarray:
    """A gauge from its MEMORYth step on: before, it is a mean over too little."""
    values = patient.gauge(name)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values[:0]
    steps = np.array([row["step"] for row in patient.logged])
    return values[known][steps[known] - steps[known[0]] >= MEMORY]


def coin(patient: Patient) -> float:
    """The loss of a critic that says nothing: log 2 a pair, or for real and fake each."""
    return math.log(2) * (1 if len(patient.term("pair")) else 2)


def too_soon(patient: Patient) -> bool:
    return patient.early and patient.step < EARLY * patient.total


def weaker_critic(patient: Patient) -> list[str]:
    knobs = patient.knobs
    if cure.has(patient, "gamma"):
        gamma = cure.fewer_digits(10 * knobs["gamma"]) if knobs.get("gamma") else 1.0
        return cure.train(patient, f"gamma{gamma:g}", gamma=gamma)
    rate = knobs.get("critic_lr")
    if rate is not None:
        lower = min(cure.fewer_digits(rate / 10), knobs.get("lr", math.inf))
        return cure.train(patient, f"critic{lower:g}", critic_lr=lower)
    if cure.has(patient, "adversarial_weight"):
        return slower(patient)
    return cure.other(patient, MODERN, MODERN)


def steadier(patient: Patient) -> list[str]:
    if cure.has(patient, "gamma") or cure.has(patient, "adversarial_weight"):
        return slower(patient)
    return cure.other(patient, MODERN, MODERN)


def coverage(patient: Patient) -> float | None:
    """Share of held-out images that have a sample among their neighbours."""
    real = patient.few(len(patient.samples))
    if min(len(real), len(patient.samples)) < ENOUGH:
        return None
    return patient.likeness(patient.samples, real).coverage


@check(
    "critic too strong",
    evidence="the critic's loss, a running mean over 50 steps",
    threshold=f"below {LOST} nats at the end (a coin: 1.39; of pairs 0.69)",
    cure="--gamma, a lower --critic-lr, or mnist_gan",
    early=True,
)
def strong(patient: Patient) -> Diagnosis | None:
    loss = told(patient, "critic loss")
    if not len(loss) or loss[-1] >= LOST or too_soon(patient):
        return None
    kinds = [k for k in patient.logged[-1]["gauges"] if k.startswith("accuracy")]
    right = {k.removeprefix("accuracy "): patient.logged[-1]["gauges"][k] for k in kinds}
    said = ", ".join(f"{share:.1%} of {kind}" for kind, share in right.items())
    return Diagnosis(
        ILL,
        f"its loss is {loss[-1]:.2g} nats where a coin's is {coin(patient):.2g}; it tells {said} "
        "right.",
        "The generator cannot learn from a judge who is never wrong: its images stay as they are, "
        "however long it trains.",
        {"critic_loss": float(loss[-1]), **{f"right_{k}": v for k, v in right.items()}},
        weaker_critic(patient),
    )


@check(
    "oscillation",
    evidence="the critic's loss, and how often of two it is right, in the second half of the log",
    threshold=f"a median loss above {COIN:.0%} of a coin's, and sometimes more often "
    "wrong than right",
    cure="mnist_gan, or a lower --lr",
)
def oscillation(patient: Patient) -> Diagnosis | None:
    loss, kinds = told(patient, "critic loss"), ("accuracy real", "accuracy fake")
    if len(loss) < 8 or not all(np.isfinite(patient.gauge(kind)).any() for kind in kinds):
        return None
    half = len(loss) // 2
    right = np.mean([told(patient, kind)[half:] for kind in kinds], axis=0)
    share = np.median(loss[half:]) / coin(patient)
    if share < COIN or right.min() >= 0.5:
        return None
    return Diagnosis(
        WARN,
        f"in the second half the critic was right {right.min():.1%} to {right.max():.1%} of the "
        f"time, below and above a coin, at {share:.0%} of a coin's loss.",
        "Generator and critic chase each other: images change from epoch to epoch without becoming "
        "better, and which epoch is kept is chance.",
        {"right_least": right.min(), "right_most": right.max(), "loss_over_coin": float(share)},
        steadier(patient),
    )


@check(
    "critic too weak",
    evidence="the critic's loss, and held-out images that have a sample among their neighbours",
    threshold=f"a loss above {COIN:.0%} of a coin's; WARN where fewer than {SOME:.0%} have one",
    cure="a lower --gamma, a higher --critic-lr, or mnist_gan",
)
def weak(patient: Patient) -> Diagnosis | None:
    loss = told(patient, "critic loss")
    if not len(loss) or loss[-1] < COIN * coin(patient):
        return None
    share = coverage(patient)
    poor = share is None or share < SOME
    knobs = patient.knobs
    if knobs.get("gamma"):
        gamma = cure.fewer_digits(knobs["gamma"] / 10)
        mend = cure.train(patient, f"gamma{gamma:g}", gamma=gamma)
    elif knobs.get("critic_lr") is not None:
        rate = cure.fewer_digits(max(10 * knobs["critic_lr"], knobs.get("lr", 0)))
        mend = cure.train(patient, f"critic{rate:g}", critic_lr=rate)
    else:
        mend = steadier(patient)
    found = f"; samples lie near {share:.0%} of held-out images" if share is not None else ""
    return Diagnosis(
        WARN if poor else NOTE,
        f"its loss is {loss[-1]:.3g} nats, a coin's {coin(patient):.3g}{found}.",
        "The judge cannot tell real from drawn, so it has nothing to teach; the images are as good "
        f"as they will get, and that is {'not good' if poor else 'good'}.",
        {"critic_loss": float(loss[-1]), **({"reached": share} if share is not None else {})},
        mend,
    )


@check(
    "vanishing generator gradient",
    evidence="norm of the generator's gradient in the last quarter of the log, and at its steepest",
    threshold=f"below {FAINT:.0%} of it",
    cure="--gamma, a lower --critic-lr, or mnist_gan",
)
def vanishing(patient: Patient) -> Diagnosis | None:
    norms = patient.norms("generator")
    if len(norms) < 8:
        return None
    end, top = float(np.median(norms[-len(norms) // 4 :])), float(norms.max())
    if end >= FAINT * top:
        return None
    return Diagnosis(
        ILL,
        f"the generator's gradient is {end:.2g} at the end; it was {top:.2g}.",
        "The generator has stopped moving: its images stay as they are.",
        {"norm": end, "steepest": top},
        weaker_critic(patient),
    )


@check(
    "mode collapse",
    evidence="spread of samples over that of real images; held-out images with a sample nearby",
    threshold=f"ILL: a spread below {GREY} or a share below {FEW}; WARN: a share below {SOME}",
    cure="--gamma, a lower --critic-lr, or mnist_gan",
    early=True,
)
def collapsed(patient: Patient) -> Diagnosis | None:
    gauge = told(patient, "spread of samples")
    if not len(gauge) or too_soon(patient):
        return None
    differs, share, n = float(gauge[-1]), None, ""
    if not patient.early:
        real = patient.few(len(patient.samples))
        differs = float(spread(patient.samples) / spread(real).clamp_min(1e-12))
        share = coverage(patient)
        n = f" (n = {len(patient.samples)} samples, {len(real)} images)"
    ill = differs < GREY or (share is not None and share < FEW)
    if not ill and (share is None or share >= SOME):
        return None
    reach = f", and lie near {share:.0%} of held-out images" if share is not None else ""
    return Diagnosis(
        ILL if ill else WARN,
        f"samples differ from each other by {differs:.0%} of what real images do{reach}{n}.",
        "Whatever is asked, one picture is drawn, or a few: samples stand for "
        "a part of your images, "
        "not for all of them.",
        {"spread": differs, **({"reached": share} if share is not None else {})},
        weaker_critic(patient),
    )


@check(
    "adversary that does not matter",
    evidence="gradient of the adversarial term at the decoder's output, weighted, over the "
    "distortion's",
    threshold=f"below {COSMETIC:.0%}; or a term that never joined",
    cure="--adversarial-weight 0.5, or --adversary-from 0.5",
)
def cosmetic(patient: Patient) -> Diagnosis | None:
    knobs, weights = patient.knobs, patient.term("adversarial", "weights")
    of = [patient.gauge(f"gradient of {kind}") for kind in ("distortion", "adversarial")]
    never = knobs.get("adversary_from") is not None and not len(weights)
    if never and patient.complete:
        mend: dict[str, Any] = {"adversary_from": 0.5, "adversarial_weight": 0.5}
        return Diagnosis(
            WARN,
            "the adversarial term never joined.",
            "This is a plain VAE: no critic ever saw its images.",
            {"ratio": 0.0},
            cure.train(patient, "adversary", **mend),
        )
    if not all(len(each) and np.isfinite(each[-1]) for each in of) or not len(weights):
        return None
    ratio = float(weights[-1] * of[1][-1] / max(of[0][-1], 1e-12))
    if ratio >= COSMETIC:
        return None
    return Diagnosis(
        WARN,
        f"its gradient at the decoder's output is {ratio:.2%} of the distortion's (weight "
        f"{weights[-1]:.2g}).",
        "The critic costs time and changes nothing: this is a plain VAE, with a plain VAE's soft "
        "images.",
        {"ratio": ratio, "weight": float(weights[-1])},
        cure.train(patient, "balanced", adversarial_weight=0.5),
    )


CHECKS = (strong, vanishing, oscillation, collapsed, weak, cosmetic)
