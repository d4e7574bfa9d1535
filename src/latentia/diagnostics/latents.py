"""Illnesses of latents: do they carry information, and does the prior know where they lie."""

from typing import Any

import numpy as np

from latentia.core.contract import Model
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import MIN_PRIOR_STEPS, RunContext, count_pixels
from latentia.metrics.elbo import ACTIVE_VARIANCE

MIN_RATE = 0.1  # of rate: two images in three cannot be told apart by less
MIN_EXPLAINED_VARIANCE = (
    0.5  # share of the images' variance: below it a picture is closer to the mean image
)
MAX_UNUSED_SHARE = 0.25  # of the dimensions: a few spare ones are the rule, and do no harm
MIN_PRIOR_COVERAGE = (
    0.6  # of the posterior's pictures; healthy runs have 0.75 to 0.9, beta 0.01 has 0.2
)
MIN_COVERAGE_IMAGES = 50  # pictures of each kind, below which neighbours say little
MAX_SIGMA_RATIO = (
    1.5  # sigma over residual, or its inverse: as beta 2.25; a residual grows with its sigma
)


MULTIRATE_ADVICE = (
    " With --multirate 0.05:20 one run learns every beta, and latentia choose names the one for a"
    " purpose."
)


def get_rate(context: RunContext) -> float | None:
    """Nats per image, by the last validation, else by the log; None: there is no such term."""
    rates = (
        context.read_validation_metric("rate")
        if len(context.read_validation_metric("rate"))
        else context.read_term("rate")
    )
    return float(rates[-1]) if len(rates) else None


def get_beta(context: RunContext) -> float | None:
    """The weight that the rate had last, of a distortion of weight 1, or before the first log row
    will have; of what stands in its place, where that does (the rate is then logged at weight 0);
    of a run of many betas the one that it answers for."""
    if context.run.beta_range and not context.early:
        return context.model.dial.beta  # pyright: ignore
    weights = context.read_term("rate", "weights")
    return (float(weights[-1]) if len(weights) else 0.0) or context.parameters.get("beta")


def count_active_dims(context: RunContext) -> tuple[int, int]:
    """Dimensions whose posterior mean varies from image to image, of how many."""
    is_active = context.latent_table.mean.var(0) > ACTIVE_VARIANCE
    return int(is_active.sum()), len(is_active)


def describe_averaging(context: RunContext, beta: float, n_latents: int) -> str:
    """The effective beta of an objective that averages, if this is it; TRAPS 1."""
    pixels = count_pixels(context.run)
    for divisor, size in ((f"{n_latents} latents", n_latents), ("no latents", 1)):
        if abs(beta / (pixels / size) - 1) < 0.05:
            averaged_scope = f"{pixels:,} pixels" + (
                f" and {divisor}" if size > 1 else ", but not over latents"
            )
            return f" beta {beta:g} is what averaging over {averaged_scope} amounts to."
    return ""


def lower_beta(context: RunContext, beta: float | None) -> list[str]:
    if beta and beta > 1:
        return suggested_commands.retrain(context, "beta1", beta=1.0)
    if "kl_schedule" not in context.run.metadata["modifiers"]:
        return suggested_commands.retrain(
            context, "warmup", modifiers={"kl_schedule": {"kl_schedule": "linear"}}
        )
    return suggested_commands.lower_learning_rate(context)


@define_check(
    "posterior collapse",
    evidence="rate of held-out images; latent dimensions whose posterior mean varies among them",
    threshold=f"rate below {MIN_RATE} nats per image",
    advice="--beta 1; at beta 1 or less --kl-schedule linear, or a lower --lr",
    early=True,
)
def posterior_collapse(context: RunContext) -> CheckResult | None:
    rate, beta = get_rate(context), get_beta(context)
    if rate is None or rate >= MIN_RATE:
        return None
    if context.is_near_start:
        return None
    values: dict[str, Any] = {"rate_nats": rate, "beta": beta or 0.0}
    text, explanation = "the latents carry nothing", ""
    if not context.early:
        n_active, n_dims = count_active_dims(context)
        values |= {"active": n_active, "latent": n_dims}
        text = f"{n_active} of {n_dims} latent dimensions carry information"
        explanation = describe_averaging(context, beta or 0.0, n_dims)
    return CheckResult(
        WARNING
        if context.is_short and (beta or 0) <= 1
        else ERROR,  # it may be the steps that are missing
        f"{text} (rate {rate:.2g} nats; beta {beta or 0:g}).",
        "The decoder ignores the latents: every reconstruction is the mean image, and no coordinate"
        f" means anything.{explanation}",
        values,
        lower_beta(context, beta),
    )


@define_check(
    "beta too high",
    evidence="share of the pixels' variance that decoded posterior means explain; "
    "active dimensions",
    threshold=f"beta above 1 with less than {MIN_EXPLAINED_VARIANCE:.0%} explained, or half of the dimensions",
    advice="--beta 1",
)
def beta_too_high(context: RunContext) -> CheckResult | None:
    rate, beta = get_rate(context), get_beta(context)
    if rate is None or rate < MIN_RATE or beta is None or beta <= 1 or not context.has_latents:
        return None
    if context.is_short:  # it may be the steps that are missing
        return None
    (n_active, n_dims), explained_share = count_active_dims(context), context.explained_variance
    if explained_share >= MIN_EXPLAINED_VARIANCE and n_active >= n_dims / 2:
        return None
    return CheckResult(
        WARNING,
        f"beta {beta:g} leaves {n_active} of {n_dims} latent dimensions and {rate:.3g} nats of rate; "
        f"reconstructions explain {max(0.0, explained_share):.0%} of the pixels' variance.",
        "Details that tell your images apart are missing from reconstructions "
        "and coordinates. What "
        "coordinates remain are few and rather independent: keep this beta only if that is the aim."
        + describe_averaging(context, beta, n_dims)
        + MULTIRATE_ADVICE,
        {
            "beta": beta,
            "active": n_active,
            "latent": n_dims,
            "rate_nats": rate,
            "explained": explained_share,
        },
        suggested_commands.suggest_beta_choice(context, "reconstruction")
        or suggested_commands.retrain(context, "beta1", beta=1.0),
    )


@define_check(
    "beta too low to sample",
    evidence="share of decoded posterior draws with a sample of the prior among their neighbours",
    threshold=f"beta below 1 and a share below {MIN_PRIOR_COVERAGE}",
    advice="--beta 1",
)
def beta_too_low(context: RunContext) -> CheckResult | None:
    beta, coverage = get_beta(context), measure_prior_coverage(context)
    if beta is None or beta >= 1 or coverage is None or coverage >= MIN_PRIOR_COVERAGE:
        return None
    commands = suggested_commands.suggest_beta_choice(
        context, "sampling"
    ) or suggested_commands.retrain(context, "beta1", beta=1.0)
    return report_hole(context, WARNING, coverage, f"; beta {beta:g}", commands)


@define_check(
    "hole in the prior",
    evidence="share of decoded posterior draws with a sample of the prior among their neighbours",
    threshold=f"a share below {MIN_PRIOR_COVERAGE} at beta 1 or more",
    advice="latentia train latent_prior --autoencoder RUN",
)
def hole_in_prior(context: RunContext) -> CheckResult | None:
    beta, coverage = get_beta(context), measure_prior_coverage(context)
    if beta is None or beta < 1 or coverage is None or coverage >= MIN_PRIOR_COVERAGE:
        return None
    if (get_rate(context) or 0) < MIN_RATE:
        return None
    return report_hole(
        context, NOTE, coverage, "", suggested_commands.train_prior(context, 2 * MIN_PRIOR_STEPS)
    )


def measure_prior_coverage(context: RunContext) -> float | None:
    if not context.has_latents or type(context.model).sample is Model.sample:
        return None
    if min(len(context.samples), len(context.posterior_draws)) < MIN_COVERAGE_IMAGES:
        return None
    return context.measure_overlap(context.samples, context.posterior_draws).coverage


def report_hole(
    context: RunContext, severity: str, coverage: float, extra_text: str, commands: list[str]
) -> CheckResult:
    low, high = np.min(context.latent_table.aggregate_sd), np.max(context.latent_table.aggregate_sd)
    return CheckResult(
        severity,
        f"samples of the prior reach {coverage:.0%} of what the latents can draw (n = "
        f"{len(context.samples)} of each{extra_text}); the latents' standard deviations are {low:.2g} to "
        f"{high:.2g}, the prior's 1.",
        "New images are drawn where no real image lies, and look like none. "
        "Encoding, reconstruction"
        " and walks between real images are not touched by this."
        + (MULTIRATE_ADVICE if severity == WARNING else ""),
        {"reached": coverage, "sd_least": low, "sd_most": high},
        commands,
    )


@define_check(
    "unused dimensions",
    evidence="latent dimensions whose posterior mean varies by less than 0.01 among "
    "held-out images",
    threshold=f"more than {MAX_UNUSED_SHARE:.0%} of them, though not all",
    advice="--latent with the number that is used",
)
def unused_dimensions(context: RunContext) -> CheckResult | None:
    rate, beta = get_rate(context), get_beta(context)
    if rate is None or rate < MIN_RATE or not context.has_latents:
        return None
    n_active, n_dims = count_active_dims(context)
    if not 0 < n_active < (1 - MAX_UNUSED_SHARE) * n_dims:
        return None
    return CheckResult(
        NOTE,
        f"{n_dims - n_active} of {n_dims} latent dimensions carry nothing (rate {rate:.3g} nats; beta "
        f"{beta or 0:g}).",
        "They are noise: leave them out of tables and traversals. They do no harm to images.",
        {"active": n_active, "latent": n_dims, "rate_nats": rate},
        suggested_commands.retrain(context, f"latent{n_active}", latent=n_active),
    )


@define_check(
    "sigma off its residual",
    evidence="sigma of the Gaussian likelihood over the root mean squared error of reconstructions",
    threshold=f"{MAX_SIGMA_RATIO:g}-fold either way, with half of the dimensions unused or half "
    "of the variance",
    advice="--sigma optimal, or --beta scaled by the ratio squared",
)
def sigma_off_residual(context: RunContext) -> CheckResult | None:
    likelihood: Any = getattr(context.model, "likelihood", None)
    beta = get_beta(context)
    if not context.has_latents or not hasattr(likelihood, "log_sigma") or beta is None:
        return None
    if context.is_short or not context.complete:  # a sigma that is learned begins at a half
        return None
    (n_active, n_dims), explained_share = count_active_dims(context), context.explained_variance
    model_sigma = float(likelihood.compute_log_sigma().detach().exp())
    residual_sigma = context.residual[0] ** 0.5  # pyright: ignore
    ratio = model_sigma / residual_sigma
    is_harmful = (
        n_active < n_dims / 2 or explained_share < MIN_EXPLAINED_VARIANCE
        if ratio > 1
        else (measure_prior_coverage(context) or 1) < MIN_PRIOR_COVERAGE
    )
    if 1 / MAX_SIGMA_RATIO < ratio < MAX_SIGMA_RATIO or not is_harmful:
        return None
    effective_beta = beta * ratio**2
    commands = (
        suggested_commands.retrain(context, "sigma", sigma="optimal")
        if suggested_commands.has_parameter(context, "sigma")
        else []
    )
    rescaled_beta = suggested_commands.round_to_two_digits(beta / ratio**2)
    return CheckResult(
        ERROR if explained_share < MIN_EXPLAINED_VARIANCE else WARNING,
        f"sigma is {model_sigma:.2g}, the error that it stands for {residual_sigma:.2g}: beta "
        f"{beta:g} acts as beta "
        f"{effective_beta:.3g}; {n_active} of {n_dims} dimensions are used, {explained_share:.0%} of the variance is "
        "explained.",
        "The model believes its images to be noisier than they are, and throws "
        "details away as noise"
        if ratio > 1
        else "The model believes its images to be cleaner than they are, and learns noise by heart"
        ", at the cost of its prior.",
        {
            "sigma": model_sigma,
            "residual": residual_sigma,
            "effective_beta": effective_beta,
            "active": n_active,
        },
        commands
        or suggested_commands.retrain(context, f"beta{rescaled_beta:g}", beta=rescaled_beta),
    )


CHECKS = (posterior_collapse, beta_too_high, beta_too_low, hole_in_prior, unused_dimensions)
