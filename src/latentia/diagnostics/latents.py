"""Checks of latents: whether they carry information, and whether the prior covers them."""

from contextlib import suppress
from typing import Any

import numpy as np

from latentia.core.contract import Model, Role
from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import RunContext, count_pixels
from latentia.metrics.elbo import ACTIVE_VARIANCE
from latentia.models.hvae import HVAE
from latentia.runs.priors import find_learned_prior
from latentia.runs.sampling import name_prior

MIN_RATE = 0.1  # nats: with less, two images in three cannot be distinguished
MIN_EXPLAINED = 0.5  # share of the images' variance: below it the mean image is closer
MAX_UNUSED = 0.25  # share of the dimensions: a few spare ones are common and harmless
MIN_PRIOR_COVERAGE = 0.6  # usual runs have 0.75 to 0.9, a run of beta 0.01 has 0.2
GOOD_PRIOR_COVERAGE = 0.75  # with less a person finds many samples that are like no image
MAX_SIGMA_RATIO = 1.5  # sigma over residual, or its inverse: it acts like beta 2.25

MULTIRATE_ADVICE = (
    " With --multirate 0.05:20 one run learns all betas of a range, and latentia choose selects"
    " one for a purpose."
)


def get_rate(context: RunContext) -> float | None:
    """Return the last validated rate, or else the last logged one (nats per image)."""
    rates = context.read_validation_metric("rate")
    rates = rates if len(rates) else context.read_role(Role.KL)
    return float(rates[-1]) if len(rates) else None


def carries_information(context: RunContext) -> bool:
    """Whether the run has latents of its own, at a rate by which images can be distinguished."""
    return (get_rate(context) or 0) >= MIN_RATE and context.has_latents


def get_beta(context: RunContext) -> float | None:
    """Return the last weight of the rate.

    Before the first log row, and where a modifier replaces the rate (it is then logged at weight
    0), this is the recipe's beta; in a --multirate run it is the beta of the opened run.
    """
    if context.run.beta_range and not context.early:
        return context.model.dial.beta  # pyright: ignore
    weights = context.read_role(Role.KL, "weights")
    return (float(weights[-1]) if len(weights) else 0.0) or context.parameters.get("beta")


def count_active_dims(context: RunContext) -> tuple[int, int]:
    """Count the dimensions whose posterior mean varies among images, and all dimensions."""
    is_active = context.latent_table.mean.var(0) > ACTIVE_VARIANCE
    return int(is_active.sum()), len(is_active)


def describe_averaging(context: RunContext, beta: float, n_dims: int) -> str:
    """Explain a beta that equals the effect of averaging the loss over pixels or latents."""
    pixels = count_pixels(context.run)
    for size, end in ((n_dims, f" and {n_dims} latents"), (1, ", but not over latents")):
        if abs(beta / (pixels / size) - 1) < 0.05:
            return f" A loss averaged over {pixels:,} pixels{end} has this beta, {beta:g}."
    return ""


def lower_beta(context: RunContext, beta: float | None) -> list[str]:
    if beta and beta > 1:
        return suggest.retrain_run(context, "beta1", beta=1.0)
    if "kl_schedule" not in context.run.metadata["modifiers"]:
        modifiers = {"kl_schedule": {"kl_schedule": "linear"}}
        return suggest.retrain_run(context, "warmup", modifiers=modifiers)
    return suggest.lower_learning_rate(context)


@define_check(
    "sigma off its residual",
    threshold=f"a factor of {MAX_SIGMA_RATIO:g} either way; above, with half of the dimensions "
    "inactive or half of the variance unexplained; below, with a hole in the prior",
)
def sigma_off_residual(context: RunContext) -> CheckResult | None:
    """Sigma of the Gaussian likelihood over the root mean squared error of reconstructions.

    Suggested change: --sigma optimal, or --beta scaled by the ratio squared.
    """
    likelihood: Any = getattr(context.model, "likelihood", None)
    beta = get_beta(context)
    if not context.has_latents or not hasattr(likelihood, "log_sigma") or beta is None:
        return None
    if context.is_short or not context.complete:  # a learned sigma starts at one half
        return None
    (n_active, n_dims), explained = count_active_dims(context), context.explained_variance
    sigma = float(likelihood.compute_log_sigma().detach().exp())
    residual = context.residual[0] ** 0.5
    ratio = sigma / residual
    effective = beta * ratio**2
    if 1 / MAX_SIGMA_RATIO < ratio < MAX_SIGMA_RATIO:
        return None
    if ratio > 1:
        is_harmless = n_active >= n_dims / 2 and explained >= MIN_EXPLAINED
        consequence = "noisier than they are, and discards details as noise."
    else:
        is_harmless = (measure_prior_coverage(context) or 1) >= MIN_PRIOR_COVERAGE
        consequence = "cleaner than they are, and memorizes noise at the cost of its prior."
    if is_harmless:
        return None
    commands, scaled = [], suggest.round_to_two_digits(beta / ratio**2)
    if "sigma" in suggest.get_run_defaults(context):
        commands = suggest.retrain_run(context, "sigma", sigma="optimal")
    return CheckResult(
        ERROR if explained < MIN_EXPLAINED else WARNING,
        f"sigma is {sigma:.2g}, and the root mean squared error is {residual:.2g}, so beta "
        f"{beta:g} acts like beta {effective:.3g}. {n_active} of {n_dims} dimensions are "
        f"active, and {context.explanation}.",
        f"The model assumes images {consequence}",
        {"sigma": sigma, "residual": residual, "effective_beta": effective, "active": n_active},
        commands or suggest.retrain_run(context, f"beta{scaled:g}", beta=scaled),
    )


@define_check("posterior collapse", threshold=f"rate below {MIN_RATE} nats per image", early=True)
def posterior_collapse(context: RunContext) -> CheckResult | None:
    """Rate of held-out images; latent dimensions whose posterior mean varies among them.

    Suggested change: --beta 1; at beta 1 or less --kl-schedule linear, or a lower --lr.
    """
    rate, beta = get_rate(context), get_beta(context) or 0.0
    if rate is None or rate >= MIN_RATE or context.is_near_start:
        return None
    values: dict[str, Any] = {"rate_nats": rate, "beta": beta}
    text, explanation = "the latents carry no information", ""
    with suppress(Error):  # in training, or without the images, the log tells the rate
        n_active, n_dims = count_active_dims(context)
        values |= {"active": n_active, "latent": n_dims}
        text = f"{n_active} of {n_dims} latent dimensions carry information"
        explanation = describe_averaging(context, beta, n_dims)
    return CheckResult(
        WARNING if context.early and context.is_short and beta <= 1 else ERROR,
        f"{text} (rate {rate:.2g} nats; beta {beta:g}).",
        "The decoder ignores the latents: every reconstruction is the mean image, and no latent"
        f" coordinate has a meaning.{explanation}",
        values,
        suggest.train_longer(context, min_factor=1)
        if context.is_short and beta <= 1
        else lower_beta(context, beta),
    )


@define_check(
    "beta too high",
    threshold=f"beta above 1, and less than {MIN_EXPLAINED:.0%} of the variance explained or less "
    "than half of the dimensions active",
)
def beta_too_high(context: RunContext) -> CheckResult | None:
    """Share of the pixels' variance that decoded posterior means explain; active dimensions.

    Suggested change: --beta 1.
    """
    rate, beta = get_rate(context) or 0.0, get_beta(context)
    if not carries_information(context) or beta is None or beta <= 1:
        return None
    if context.is_short:  # more steps may be enough
        return None
    (n_active, n_dims), explained = count_active_dims(context), context.explained_variance
    if explained >= MIN_EXPLAINED and n_active >= n_dims / 2:
        return None
    return CheckResult(
        WARNING,
        f"at beta {beta:g}, {n_active} of {n_dims} latent dimensions are active, the rate is "
        f"{rate:.3g} nats, and {context.explanation}.",
        "Reconstructions and coordinates lack details that distinguish your images. The remaining "
        "coordinates are few and rather independent: keep this beta only if you want that."
        f"{describe_averaging(context, beta, n_dims)}{MULTIRATE_ADVICE}",
        {
            "beta": beta,
            "active": n_active,
            "latent": n_dims,
            "rate_nats": rate,
            "explained": explained,
        },
        suggest.choose_beta(context, "reconstruction"),
    )


@define_check(
    "beta too low to sample", threshold=f"beta below 1 and a share below {MIN_PRIOR_COVERAGE}"
)
def beta_too_low(context: RunContext) -> CheckResult | None:
    """Coverage: the share of decoded posterior draws that have a sample of the prior nearby.

    Suggested change: --beta 1.
    """
    beta = get_beta(context)
    if beta is None or beta >= 1:
        return None
    commands = suggest.choose_beta(context, "sampling")
    return report_hole(context, WARNING, f"; beta {beta:g}", MULTIRATE_ADVICE, commands)


@define_check(
    "hole in the prior", threshold=f"a share below {GOOD_PRIOR_COVERAGE} at beta 1 or more"
)
def hole_in_prior(context: RunContext) -> CheckResult | None:
    """Coverage: the share of decoded posterior draws that have a sample of the prior nearby.

    Suggested change: latentia train latent_prior --autoencoder RUN, or samples of such a prior.
    """
    if (get_beta(context) or 0) < 1 or (get_rate(context) or 0) < MIN_RATE:
        return None
    if prior := find_learned_prior(context.run):
        advice = f" Draw images with {prior.path}, the learned prior of these latents."
        return report_hole(context, NOTE, "", advice, suggest.draw_samples(context, prior.path))
    commands = suggest.train_prior(context)
    return report_hole(context, NOTE, "", "", commands)


def measure_prior_coverage(context: RunContext) -> float | None:
    """Return the share of posterior draws near a sample of the prior; None if not measurable."""
    if not context.has_latents or type(context.model).sample is Model.sample:
        return None
    return context.sample_overlap and context.sample_overlap.coverage


def report_hole(
    context: RunContext, severity: str, beta_text: str, advice: str, commands: list[str]
) -> CheckResult | None:
    coverage = measure_prior_coverage(context)
    limit = GOOD_PRIOR_COVERAGE if severity == NOTE else MIN_PRIOR_COVERAGE
    if coverage is None or coverage >= limit:
        return None
    sd = context.latent_table.aggregate_sd
    low, high = np.min(sd), np.max(sd)
    return CheckResult(
        severity,
        f"samples of the prior cover {coverage:.0%} of the decoded posterior draws (n = "
        f"{len(context.samples)} of each{beta_text}). The standard deviations of the latents are "
        f"{low:.2g} to {high:.2g}; the prior is {name_prior(context.model)}.",
        "Many samples come from latents where no real image lies, and look unlike real ones. This "
        f"does not affect encoding, reconstruction and interpolation between real images.{advice}",
        {"reached": coverage, "sd_least": low, "sd_most": high},
        commands,
    )


@define_check("unused dimensions", threshold=f"more than {MAX_UNUSED:.0%} of them, but not all")
def unused_dimensions(context: RunContext) -> CheckResult | None:
    """Latent dimensions whose posterior mean has a variance below 0.01 among held-out images.

    Suggested change: --latent with the number of active dimensions.
    """
    rate, beta = get_rate(context) or 0.0, get_beta(context) or 0.0
    if not carries_information(context):
        return None
    n_active, n_dims = count_active_dims(context)
    if not 0 < n_active < (1 - MAX_UNUSED) * n_dims:
        return None
    return CheckResult(
        NOTE,
        f"{n_dims - n_active} of {n_dims} latent dimensions hardly vary (variance of their "
        f"posterior means below {ACTIVE_VARIANCE}; rate {rate:.3g} nats; beta {beta:g}).",
        "Images do not depend on them visibly: leave them out of traversals. A trace of a label "
        "may remain in them, which latentia relate measures.",
        {"active": n_active, "latent": n_dims, "rate_nats": rate},
        suggest.retrain_run(context, f"latent{n_active}", latent=n_active)
        if context.parameters.get("latent") == n_dims  # else those of one level or channel
        else [],
    )


@define_check("dead levels", threshold=f"a rate below {MIN_RATE} nats per image, but not of all")
def dead_levels(context: RunContext) -> CheckResult | None:
    """Rate of each level of a hierarchical VAE, at the posterior means of held-out images.

    Suggested change: --levels with the number of levels that carry information.
    """
    model = context.model
    if not isinstance(model, HVAE) or context.is_short:
        return None
    rates = model.sum_levels(context.latent_table.kl_per_dim.tolist())  # pyright: ignore
    dead = [k + 1 for k, rate in enumerate(rates) if rate < MIN_RATE]
    if not 0 < len(dead) < len(rates):
        return None
    numbers, n_live = ", ".join(map(str, dead)), len(rates) - len(dead)
    return CheckResult(
        WARNING,
        f"{len(dead)} of {pluralize(len(rates), 'level')} carry no information (numbers from the "
        f"top: {numbers}; rates from the top, in nats: {', '.join(f'{r:.2g}' for r in rates)}).",
        "Images do not depend on the latents of these levels: the model is a smaller one.",
        {"dead": len(dead), "levels": len(rates), "smallest_nats": min(rates)},
        suggest.retrain_run(context, f"levels{n_live}", levels=n_live),
    )
