"""Illnesses of latents: do they carry information, and does the prior know where they lie."""

from typing import Any

import numpy as np

from latentia.core.contract import Model
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ILL, NOTE, WARN, Diagnosis, check
from latentia.diagnostics.run_context import PRIOR_STEPS, Patient, pixels_of
from latentia.metrics.elbo import ACTIVE

NATS = 0.1  # of rate: two images in three cannot be told apart by less
EXPLAINED = 0.5  # share of the images' variance: below it a picture is closer to the mean image
UNUSED = 0.25  # of the dimensions: a few spare ones are the rule, and do no harm
REACHED = 0.6  # of the posterior's pictures; healthy runs have 0.75 to 0.9, beta 0.01 has 0.2
ENOUGH = 50  # pictures of each kind, below which neighbours say little
OFF = 1.5  # sigma over residual, or its inverse: as beta 2.25; a residual grows with its sigma


MANY = (
    " With --multirate 0.05:20 one run learns every beta, and latentia choose names the one for a"
    " purpose."
)


def rate_of(patient: Patient) -> float | None:
    """Nats per image, by the last validation, else by the log; None: there is no such term."""
    told = patient.score("rate") if len(patient.score("rate")) else patient.term("rate")
    return float(told[-1]) if len(told) else None


def beta_of(patient: Patient) -> float | None:
    """The weight that the rate had last, of a distortion of weight 1, or before the first log row
    will have; of what stands in its place, where that does (the rate is then logged at weight 0);
    of a run of many betas the one that it answers for."""
    if patient.run.beta_range and not patient.early:
        return patient.model.dial.beta  # pyright: ignore
    told = patient.term("rate", "weights")
    return (float(told[-1]) if len(told) else 0.0) or patient.knobs.get("beta")


def active(patient: Patient) -> tuple[int, int]:
    """Dimensions whose posterior mean varies from image to image, of how many."""
    varies = patient.codes.mean.var(0) > ACTIVE
    return int(varies.sum()), len(varies)


def averaged(patient: Patient, beta: float, latent: int) -> str:
    """The effective beta of an objective that averages, if this is it; TRAPS 1."""
    pixels = pixels_of(patient.run)
    for what, size in ((f"{latent} latents", latent), ("no latents", 1)):
        if abs(beta / (pixels / size) - 1) < 0.05:
            over = f"{pixels:,} pixels" + (f" and {what}" if size > 1 else ", but not over latents")
            return f" beta {beta:g} is what averaging over {over} amounts to."
    return ""


def lower_beta(patient: Patient, beta: float | None) -> list[str]:
    if beta and beta > 1:
        return suggested_commands.train(patient, "beta1", beta=1.0)
    if "kl_schedule" not in patient.run.metadata["modifiers"]:
        return suggested_commands.train(
            patient, "warmup", edits={"kl_schedule": {"kl_schedule": "linear"}}
        )
    return suggested_commands.slower(patient)


@check(
    "posterior collapse",
    evidence="rate of held-out images; latent dimensions whose posterior mean varies among them",
    threshold=f"rate below {NATS} nats per image",
    cure="--beta 1; at beta 1 or less --kl-schedule linear, or a lower --lr",
    early=True,
)
def collapse(patient: Patient) -> Diagnosis | None:
    rate, beta = rate_of(patient), beta_of(patient)
    if rate is None or rate >= NATS:
        return None
    if patient.young:
        return None
    figures: dict[str, Any] = {"rate_nats": rate, "beta": beta or 0.0}
    said, why = "the latents carry nothing", ""
    if not patient.early:
        alive, of = active(patient)
        figures |= {"active": alive, "latent": of}
        said = f"{alive} of {of} latent dimensions carry information"
        why = averaged(patient, beta or 0.0, of)
    return Diagnosis(
        WARN if patient.brief and (beta or 0) <= 1 else ILL,  # it may be the steps that are missing
        f"{said} (rate {rate:.2g} nats; beta {beta or 0:g}).",
        "The decoder ignores the latents: every reconstruction is the mean image, and no coordinate"
        f" means anything.{why}",
        figures,
        lower_beta(patient, beta),
    )


@check(
    "beta too high",
    evidence="share of the pixels' variance that decoded posterior means explain; "
    "active dimensions",
    threshold=f"beta above 1 with less than {EXPLAINED:.0%} explained, or half of the dimensions",
    cure="--beta 1",
)
def too_high(patient: Patient) -> Diagnosis | None:
    rate, beta = rate_of(patient), beta_of(patient)
    if rate is None or rate < NATS or beta is None or beta <= 1 or not patient.has_latents:
        return None
    if patient.brief:  # it may be the steps that are missing
        return None
    (alive, of), explained = active(patient), patient.explained
    if explained >= EXPLAINED and alive >= of / 2:
        return None
    return Diagnosis(
        WARN,
        f"beta {beta:g} leaves {alive} of {of} latent dimensions and {rate:.3g} nats of rate; "
        f"reconstructions explain {max(0.0, explained):.0%} of the pixels' variance.",
        "Details that tell your images apart are missing from reconstructions "
        "and coordinates. What "
        "coordinates remain are few and rather independent: keep this beta only if that is the aim."
        + averaged(patient, beta, of)
        + MANY,
        {"beta": beta, "active": alive, "latent": of, "rate_nats": rate, "explained": explained},
        suggested_commands.choice(patient, "reconstruction")
        or suggested_commands.train(patient, "beta1", beta=1.0),
    )


@check(
    "beta too low to sample",
    evidence="share of decoded posterior draws with a sample of the prior among their neighbours",
    threshold=f"beta below 1 and a share below {REACHED}",
    cure="--beta 1",
)
def too_low(patient: Patient) -> Diagnosis | None:
    beta, share = beta_of(patient), reached(patient)
    if beta is None or beta >= 1 or share is None or share >= REACHED:
        return None
    mend = suggested_commands.choice(patient, "sampling") or suggested_commands.train(
        patient, "beta1", beta=1.0
    )
    return hole_of(patient, WARN, share, f"; beta {beta:g}", mend)


@check(
    "hole in the prior",
    evidence="share of decoded posterior draws with a sample of the prior among their neighbours",
    threshold=f"a share below {REACHED} at beta 1 or more",
    cure="latentia train latent_prior --autoencoder RUN",
)
def hole(patient: Patient) -> Diagnosis | None:
    beta, share = beta_of(patient), reached(patient)
    if beta is None or beta < 1 or share is None or share >= REACHED:
        return None
    if (rate_of(patient) or 0) < NATS:
        return None
    return hole_of(patient, NOTE, share, "", suggested_commands.prior(patient, 2 * PRIOR_STEPS))


def reached(patient: Patient) -> float | None:
    if not patient.has_latents or type(patient.model).sample is Model.sample:
        return None
    if min(len(patient.samples), len(patient.posterior_draws)) < ENOUGH:
        return None
    return patient.likeness(patient.samples, patient.posterior_draws).coverage


def hole_of(patient: Patient, severity: str, share: float, more: str, mend: list[str]) -> Diagnosis:
    low, high = np.min(patient.codes.spread), np.max(patient.codes.spread)
    return Diagnosis(
        severity,
        f"samples of the prior reach {share:.0%} of what the latents can draw (n = "
        f"{len(patient.samples)} of each{more}); the latents' standard deviations are {low:.2g} to "
        f"{high:.2g}, the prior's 1.",
        "New images are drawn where no real image lies, and look like none. "
        "Encoding, reconstruction"
        " and walks between real images are not touched by this."
        + (MANY if severity == WARN else ""),
        {"reached": share, "sd_least": low, "sd_most": high},
        mend,
    )


@check(
    "unused dimensions",
    evidence="latent dimensions whose posterior mean varies by less than 0.01 among "
    "held-out images",
    threshold=f"more than {UNUSED:.0%} of them, though not all",
    cure="--latent with the number that is used",
)
def unused(patient: Patient) -> Diagnosis | None:
    rate, beta = rate_of(patient), beta_of(patient)
    if rate is None or rate < NATS or not patient.has_latents:
        return None
    alive, of = active(patient)
    if not 0 < alive < (1 - UNUSED) * of:
        return None
    return Diagnosis(
        NOTE,
        f"{of - alive} of {of} latent dimensions carry nothing (rate {rate:.3g} nats; beta "
        f"{beta or 0:g}).",
        "They are noise: leave them out of tables and traversals. They do no harm to images.",
        {"active": alive, "latent": of, "rate_nats": rate},
        suggested_commands.train(patient, f"latent{alive}", latent=alive),
    )


@check(
    "sigma off its residual",
    evidence="sigma of the Gaussian likelihood over the root mean squared error of reconstructions",
    threshold=f"{OFF:g}-fold either way, with half of the dimensions unused or half "
    "of the variance",
    cure="--sigma optimal, or --beta scaled by the ratio squared",
)
def sigma(patient: Patient) -> Diagnosis | None:
    likelihood = getattr(patient.model, "likelihood", None)
    beta = beta_of(patient)
    if not patient.has_latents or not hasattr(likelihood, "log_sigma") or beta is None:
        return None
    if patient.brief or not patient.complete:  # a sigma that is learned begins at a half
        return None
    (alive, of), explained = active(patient), patient.explained
    now, wanted = float(likelihood.spread().detach().exp()), patient.residual[0] ** 0.5  # pyright: ignore
    off = now / wanted
    costs = (
        alive < of / 2 or explained < EXPLAINED if off > 1 else (reached(patient) or 1) < REACHED
    )
    if 1 / OFF < off < OFF or not costs:
        return None
    effective = beta * off**2
    mends = (
        suggested_commands.train(patient, "sigma", sigma="optimal")
        if suggested_commands.has(patient, "sigma")
        else []
    )
    smaller = suggested_commands.fewer_digits(beta / off**2)
    return Diagnosis(
        ILL if explained < EXPLAINED else WARN,
        f"sigma is {now:.2g}, the error that it stands for {wanted:.2g}: beta "
        f"{beta:g} acts as beta "
        f"{effective:.3g}; {alive} of {of} dimensions are used, {explained:.0%} of the variance is "
        "explained.",
        "The model believes its images to be noisier than they are, and throws "
        "details away as noise"
        if off > 1
        else "The model believes its images to be cleaner than they are, and learns noise by heart"
        ", at the cost of its prior.",
        {"sigma": now, "residual": wanted, "effective_beta": effective, "active": alive},
        mends or suggested_commands.train(patient, f"beta{smaller:g}", beta=smaller),
    )


CHECKS = (collapse, too_high, too_low, hole, unused)
