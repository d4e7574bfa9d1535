"""Illnesses of a duel: who wins it, whether it moves, and what the generator draws in the end."""

import math

import numpy as np

from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ILL, NOTE, WARN, Diagnosis, check
from latentia.diagnostics.latents import ENOUGH
from latentia.diagnostics.run_context import Patient
from latentia.models.monitors import MEMORY, spread

LOST = 0.03  # nats of critic loss; healthy duels stay above 0.15, a coin costs 1.39 (pairs: 0.69)
COIN = 0.95  # of the loss of a coin
WRONG = 0.48  # of two, right: a coin's mean over 3,000 images and more stays above; DCGANs: 0.45
GREY = 0.3  # of the real images' spread; healthy samples have 0.8 to 1
FEW, SOME = 0.1, 0.6  # of held-out images with a sample nearby; healthy GANs reach 0.85 to 0.9
FAINT = 0.01  # of the steepest gradient that the generator had
COSMETIC = 0.02  # of the distortion's gradient: less than two degrees of the update's direction
BALANCED = "--gamma, --critic-lr, --lr at the recipe's own; else more or less --gamma; or mnist_gan"
MODERN = "mnist_gan"  # the recipe whose loss and penalties hold a duel in balance


def judged(patient: Patient, name: str) -> np.ndarray:
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


def balanced(patient: Patient) -> list[str]:
    """The recipe's own settings; where they are so already, another critic."""
    if patient.knobs.get("adversarial_weight") == "published":
        return weighed(patient)
    # a VAE-GAN's critic says nothing any more where a GAN's is only slowed
    times = 3 if suggested_commands.has(patient, "adversarial_weight") else 10
    times = 1 / times if at_a_coin(patient) else times
    return (
        suggested_commands.restored(patient, "gamma", "critic_lr", "lr")
        or scaled(patient, "gamma", times)
        or scaled(patient, "critic_lr", 1 / times)
        or steadier(patient)
    )


def weighed(patient: Patient, suffix: str = "balanced", **more: float) -> list[str]:
    """The recipe's own balance of gradients, and its critic."""
    usual = suggested_commands.knobs_of(patient.run.metadata["recipe"]).get("adversarial_weight")
    return suggested_commands.train(patient, suffix, adversarial_weight=usual or 0.5, **more)


def scaled(patient: Patient, knob: str, factor: float) -> list[str]:
    """A knob times a factor, or from 0 to 1; [] if the recipe lacks it, or it is 0 already."""
    now = patient.knobs.get(knob)
    if now is None or (not now and factor < 1):
        return []
    new = suggested_commands.fewer_digits(factor * now) if now else 1.0
    return suggested_commands.train(patient, f"{knob}{new:g}", **{knob: new})


def steadier(patient: Patient) -> list[str]:
    if suggested_commands.has(patient, "gamma") or suggested_commands.has(
        patient, "adversarial_weight"
    ):
        return suggested_commands.slower(patient)
    return suggested_commands.other(patient, MODERN, MODERN)


def at_a_coin(patient: Patient) -> bool:
    loss = judged(patient, "critic loss")
    return bool(len(loss) and loss[-1] >= COIN * coin(patient))


def reach(patient: Patient) -> tuple[float, float, str]:
    """Spread of samples over held-out images'; share of these with a sample nearby, or nan."""
    drawn, real = patient.samples, patient.few(len(patient.samples))
    differs, share = float(spread(drawn) / spread(real).clamp_min(1e-12)), math.nan
    told = f"samples differ by {differs:.0%} of what real images do"
    if min(len(real), len(drawn)) >= ENOUGH:
        share = patient.likeness(drawn, real).coverage
        told += f" and lie near {share:.0%} of held-out images"
    return differs, share, f"{told} (n = {len(drawn)} samples, {len(real)} images)"


def grade(differs: float, share: float) -> str:
    """How ill samples of such a spread and share are; a share of nan tells nothing."""
    ill = differs < GREY or share < FEW
    return ILL if ill else WARN if share < SOME else ""


@check(
    "critic too strong",
    evidence="the critic's loss, a running mean over 50 steps",
    threshold=f"below {LOST} nats at the end (a coin: 1.39; of pairs 0.69)",
    cure=BALANCED,
    early=True,
)
def strong(patient: Patient) -> Diagnosis | None:
    loss = judged(patient, "critic loss")
    if not len(loss) or loss[-1] >= LOST or patient.young:
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
        balanced(patient),
    )


@check(
    "oscillation",
    evidence="the critic's loss, and how often of two it is right, in the second half of the log",
    threshold=f"a median loss above {COIN:.0%} of a coin's, and at times right in less than "
    f"{WRONG:.0%}",
    cure=BALANCED,
)
def oscillation(patient: Patient) -> Diagnosis | None:
    loss, kinds = judged(patient, "critic loss"), ("accuracy real", "accuracy fake")
    if len(loss) < 8 or not all(np.isfinite(patient.gauge(kind)).any() for kind in kinds):
        return None
    half = len(loss) // 2
    right = np.mean([judged(patient, kind)[half:] for kind in kinds], axis=0)
    share = np.median(loss[half:]) / coin(patient)
    if share < COIN or right.min() >= WRONG:
        return None
    return Diagnosis(
        WARN,
        f"in the second half the critic was right {right.min():.1%} to {right.max():.1%} of the "
        f"time, at {share:.0%} of a coin's loss: what it learns is out of date.",
        "Generator and critic chase each other: images change from epoch to epoch without becoming "
        "better, and which epoch is kept is chance.",
        {"right_least": right.min(), "right_most": right.max(), "loss_over_coin": float(share)},
        balanced(patient),
    )


@check(
    "vanishing generator gradient",
    evidence="norm of the generator's gradient in the last quarter of the log, and at its steepest",
    threshold=f"below {FAINT:.0%} of it",
    cure=BALANCED,
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
        balanced(patient),
    )


@check(
    "critic too weak",
    evidence="the critic's loss; spread of samples, and held-out images with a sample nearby",
    threshold=f"a loss above {COIN:.0%} of a coin's; ILL or WARN by what samples are, as below",
    cure=BALANCED,
)
def weak(patient: Patient) -> Diagnosis | None:
    if not at_a_coin(patient):
        return None
    loss, (differs, share, told) = judged(patient, "critic loss")[-1], reach(patient)
    severity = grade(differs, share) or NOTE
    return Diagnosis(
        severity,
        f"its loss is {loss:.3g} nats, a coin's {coin(patient):.3g}; {told}.",
        "The judge cannot tell real from drawn, so it has nothing to teach; the images are as good "
        f"as they will get, and that is {'good' if severity == NOTE else 'not good'}.",
        {"critic_loss": loss, "spread": differs, "reached": share},
        balanced(patient),
    )


@check(
    "mode collapse",
    evidence="spread of samples over that of real images; held-out images with a sample nearby",
    threshold=f"ILL: a spread below {GREY} or a share below {FEW}; WARN: a share below {SOME}",
    cure=BALANCED,
    early=True,
)
def collapsed(patient: Patient) -> Diagnosis | None:
    gauge = judged(patient, "spread of samples")
    if not len(gauge) or patient.young:
        return None
    differs, share, told = (gauge[-1], math.nan, "") if patient.early else reach(patient)
    if not (severity := grade(differs, share)):
        return None
    return Diagnosis(
        severity,
        f"{told or f'samples differ by {differs:.0%} of what real images do'}.",
        "Whatever is asked, one picture is drawn, or a few: samples stand for a part of your "
        "images, not for all of them.",
        {"spread": differs, "reached": share},
        unseen(patient) or balanced(patient),
    )


def unseen(patient: Patient) -> list[str]:
    """Half of the adversary's weight on samples, where it has none of them."""
    if patient.knobs.get("reconstructions") != 1:
        return []
    return suggested_commands.train(patient, "samples", reconstructions=0.5)


@check(
    "adversary that does not matter",
    evidence="gradient of the adversarial term at the decoder's output, weighted, over the "
    "distortion's",
    threshold=f"below {COSMETIC:.0%}; or a term that never joined",
    cure="--adversarial-weight at the recipe's own, or --adversary-from 0.5",
)
def cosmetic(patient: Patient) -> Diagnosis | None:
    knobs, weights = patient.knobs, patient.term("adversarial", "weights")
    of = [patient.gauge(f"gradient of {kind}") for kind in ("distortion", "adversarial")]
    never = knobs.get("adversary_from") is not None and not len(weights)
    if never and patient.complete:
        return Diagnosis(
            WARN,
            "the adversarial term never joined.",
            "This is a plain VAE: no critic ever saw its images.",
            {"ratio": 0.0},
            weighed(patient, "adversary", adversary_from=0.5),
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
        weighed(patient),
    )


CHECKS = (strong, oscillation, weak, vanishing, collapsed, cosmetic)
