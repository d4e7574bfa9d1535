"""Illnesses of a duel: who wins it, whether it moves, and what the generator draws in the end."""

import math

import numpy as np

from latentia.diagnostics import suggested_commands
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_COVERAGE_IMAGES
from latentia.diagnostics.run_context import RunContext
from latentia.models.monitors import WINDOW_STEPS, rms_std

STRONG_CRITIC_LOSS = (
    0.03  # nats of critic loss; healthy duels stay above 0.15, a coin costs 1.39 (pairs: 0.69)
)
CHANCE_LOSS_SHARE = 0.95  # of the loss of a coin
CHANCE_ACCURACY = (
    0.48  # of two, right: a coin's mean over 3,000 images and more stays above; DCGANs: 0.45
)
MIN_SPREAD = 0.3  # of the real images' spread; healthy samples have 0.8 to 1
MIN_COVERAGE, FAIR_COVERAGE = (
    0.1,
    0.6,
)  # of held-out images with a sample nearby; healthy GANs reach 0.85 to 0.9
VANISHING_SHARE = 0.01  # of the steepest gradient that the generator had
NEGLIGIBLE_SHARE = (
    0.02  # of the distortion's gradient: less than two degrees of the update's direction
)
BALANCE_ADVICE = (
    "--gamma, --critic-lr, --lr at the recipe's own; else more or less --gamma; or mnist_gan"
)
STABLE_RECIPE = "mnist_gan"  # the recipe whose loss and penalties hold a duel in balance


def monitor_after_warmup(context: RunContext, name: str) -> np.ndarray:
    """A gauge from its MEMORYth step on: before, it is a mean over too little."""
    values = context.read_monitor(name)
    finite_rows = np.flatnonzero(np.isfinite(values))
    if not len(finite_rows):
        return values[:0]
    steps = np.array([row["step"] for row in context.training_rows])
    return values[finite_rows][steps[finite_rows] - steps[finite_rows[0]] >= WINDOW_STEPS]


def chance_loss(context: RunContext) -> float:
    """The loss of a critic that says nothing: log 2 a pair, or for real and fake each."""
    return math.log(2) * (1 if len(context.read_term("pair")) else 2)


def restore_balance(context: RunContext) -> list[str]:
    """The recipe's own settings; where they are so already, another critic."""
    if context.parameters.get("adversarial_weight") == "published":
        return rebalanced(context)
    # a VAE-GAN's critic says nothing any more where a GAN's is only slowed
    factor = 3 if suggested_commands.has_parameter(context, "adversarial_weight") else 10
    factor = 1 / factor if is_at_chance_loss(context) else factor
    return (
        suggested_commands.reset_parameters(context, "gamma", "critic_lr", "lr")
        or scale_parameter(context, "gamma", factor)
        or scale_parameter(context, "critic_lr", 1 / factor)
        or stabilize_training(context)
    )


def rebalanced(context: RunContext, suffix: str = "balanced", **changes: float) -> list[str]:
    """The recipe's own balance of gradients, and its critic."""
    default_weight = suggested_commands.get_recipe_parameters(context.run.metadata["recipe"]).get(
        "adversarial_weight"
    )
    return suggested_commands.retrain(
        context, suffix, adversarial_weight=default_weight or 0.5, **changes
    )


def scale_parameter(context: RunContext, parameter: str, factor: float) -> list[str]:
    """A knob times a factor, or from 0 to 1; [] if the recipe lacks it, or it is 0 already."""
    current_value = context.parameters.get(parameter)
    if current_value is None or (not current_value and factor < 1):
        return []
    new_value = (
        suggested_commands.round_to_two_digits(factor * current_value) if current_value else 1.0
    )
    return suggested_commands.retrain(
        context, f"{parameter}{new_value:g}", **{parameter: new_value}
    )


def stabilize_training(context: RunContext) -> list[str]:
    if suggested_commands.has_parameter(context, "gamma") or suggested_commands.has_parameter(
        context, "adversarial_weight"
    ):
        return suggested_commands.lower_learning_rate(context)
    return suggested_commands.use_recipe(context, STABLE_RECIPE, STABLE_RECIPE)


def is_at_chance_loss(context: RunContext) -> bool:
    loss = monitor_after_warmup(context, "critic loss")
    return bool(len(loss) and loss[-1] >= CHANCE_LOSS_SHARE * chance_loss(context))


def sample_coverage(context: RunContext) -> tuple[float, float, str]:
    """Spread of samples over held-out images'; share of these with a sample nearby, or nan."""
    samples, real_images = context.samples, context.select_images(len(context.samples))
    spread_ratio, coverage = (
        float(rms_std(samples) / rms_std(real_images).clamp_min(1e-12)),
        math.nan,
    )
    text = f"samples differ by {spread_ratio:.0%} of what real images do"
    if min(len(real_images), len(samples)) >= MIN_COVERAGE_IMAGES:
        coverage = context.measure_overlap(samples, real_images).coverage
        text += f" and lie near {coverage:.0%} of held-out images"
    return spread_ratio, coverage, f"{text} (n = {len(samples)} samples, {len(real_images)} images)"


def grade_samples(spread_ratio: float, coverage: float) -> str:
    """How ill samples of such a spread and share are; a share of nan tells nothing."""
    is_error = spread_ratio < MIN_SPREAD or coverage < MIN_COVERAGE
    return ERROR if is_error else WARNING if coverage < FAIR_COVERAGE else ""


@define_check(
    "critic too strong",
    evidence="the critic's loss, a running mean over 50 steps",
    threshold=f"below {STRONG_CRITIC_LOSS} nats at the end (a coin: 1.39; of pairs 0.69)",
    advice=BALANCE_ADVICE,
    early=True,
)
def critic_too_strong(context: RunContext) -> CheckResult | None:
    loss = monitor_after_warmup(context, "critic loss")
    if not len(loss) or loss[-1] >= STRONG_CRITIC_LOSS or context.is_near_start:
        return None
    accuracy_names = [
        name for name in context.training_rows[-1]["monitors"] if name.startswith("accuracy")
    ]
    accuracies = {
        name.removeprefix("accuracy "): context.training_rows[-1]["monitors"][name]
        for name in accuracy_names
    }
    accuracy_text = ", ".join(f"{accuracy:.1%} of {kind}" for kind, accuracy in accuracies.items())
    return CheckResult(
        ERROR,
        f"its loss is {loss[-1]:.2g} nats where a coin's is {chance_loss(context):.2g}; it tells {accuracy_text} "
        "right.",
        "The generator cannot learn from a judge who is never wrong: its images stay as they are, "
        "however long it trains.",
        {"critic_loss": float(loss[-1]), **{f"right_{name}": v for name, v in accuracies.items()}},
        restore_balance(context),
    )


@define_check(
    "oscillation",
    evidence="the critic's loss, and how often of two it is right, in the second half of the log",
    threshold=f"a median loss above {CHANCE_LOSS_SHARE:.0%} of a coin's, and at times right in less than "
    f"{CHANCE_ACCURACY:.0%}",
    advice=BALANCE_ADVICE,
)
def oscillation(context: RunContext) -> CheckResult | None:
    loss, accuracy_names = (
        monitor_after_warmup(context, "critic loss"),
        ("accuracy real", "accuracy fake"),
    )
    if len(loss) < 8 or not all(
        np.isfinite(context.read_monitor(kind)).any() for kind in accuracy_names
    ):
        return None
    half = len(loss) // 2
    accuracy = np.mean(
        [monitor_after_warmup(context, kind)[half:] for kind in accuracy_names], axis=0
    )
    loss_over_chance = np.median(loss[half:]) / chance_loss(context)
    if loss_over_chance < CHANCE_LOSS_SHARE or accuracy.min() >= CHANCE_ACCURACY:
        return None
    return CheckResult(
        WARNING,
        f"in the second half the critic was right {accuracy.min():.1%} to {accuracy.max():.1%} of the "
        f"time, at {loss_over_chance:.0%} of a coin's loss: what it learns is out of date.",
        "Generator and critic chase each other: images change from epoch to epoch without becoming "
        "better, and which epoch is kept is chance.",
        {
            "right_least": accuracy.min(),
            "right_most": accuracy.max(),
            "loss_over_coin": float(loss_over_chance),
        },
        restore_balance(context),
    )


@define_check(
    "vanishing generator gradient",
    evidence="norm of the generator's gradient in the last quarter of the log, and at its steepest",
    threshold=f"below {VANISHING_SHARE:.0%} of it",
    advice=BALANCE_ADVICE,
)
def vanishing_generator_gradient(context: RunContext) -> CheckResult | None:
    norms = context.read_gradient_norms("generator")
    if len(norms) < 8:
        return None
    last_norm, largest_norm = float(np.median(norms[-len(norms) // 4 :])), float(norms.max())
    if last_norm >= VANISHING_SHARE * largest_norm:
        return None
    return CheckResult(
        ERROR,
        f"the generator's gradient is {last_norm:.2g} at the end; it was {largest_norm:.2g}.",
        "The generator has stopped moving: its images stay as they are.",
        {"norm": last_norm, "steepest": largest_norm},
        restore_balance(context),
    )


@define_check(
    "critic too weak",
    evidence="the critic's loss; spread of samples, and held-out images with a sample nearby",
    threshold=f"a loss above {CHANCE_LOSS_SHARE:.0%} of a coin's; ERROR or WARNING by what samples are, as below",
    advice=BALANCE_ADVICE,
)
def critic_too_weak(context: RunContext) -> CheckResult | None:
    if not is_at_chance_loss(context):
        return None
    loss, (spread_ratio, coverage, text) = (
        monitor_after_warmup(context, "critic loss")[-1],
        sample_coverage(context),
    )
    severity = grade_samples(spread_ratio, coverage) or NOTE
    return CheckResult(
        severity,
        f"its loss is {loss:.3g} nats, a coin's {chance_loss(context):.3g}; {text}.",
        "The judge cannot tell real from drawn, so it has nothing to teach; the images are as good "
        f"as they will get, and that is {'good' if severity == NOTE else 'not good'}.",
        {"critic_loss": loss, "spread": spread_ratio, "reached": coverage},
        restore_balance(context),
    )


@define_check(
    "mode collapse",
    evidence="spread of samples over that of real images; held-out images with a sample nearby",
    threshold=f"ERROR: a spread below {MIN_SPREAD} or a share below {MIN_COVERAGE}; WARNING: a share below {FAIR_COVERAGE}",
    advice=BALANCE_ADVICE,
    early=True,
)
def mode_collapse(context: RunContext) -> CheckResult | None:
    sample_spread = monitor_after_warmup(context, "spread of samples")
    if not len(sample_spread) or context.is_near_start:
        return None
    spread_ratio, coverage, text = (
        (sample_spread[-1], math.nan, "") if context.early else sample_coverage(context)
    )
    if not (severity := grade_samples(spread_ratio, coverage)):
        return None
    return CheckResult(
        severity,
        f"{text or f'samples differ by {spread_ratio:.0%} of what real images do'}.",
        "Whatever is asked, one picture is drawn, or a few: samples stand for a part of your "
        "images, not for all of them.",
        {"spread": spread_ratio, "reached": coverage},
        weight_samples(context) or restore_balance(context),
    )


def weight_samples(context: RunContext) -> list[str]:
    """Half of the adversary's weight on samples, where it has none of them."""
    if context.parameters.get("reconstructions") != 1:
        return []
    return suggested_commands.retrain(context, "samples", reconstructions=0.5)


@define_check(
    "adversary that does not matter",
    evidence="gradient of the adversarial term at the decoder's output, weighted, over the "
    "distortion's",
    threshold=f"below {NEGLIGIBLE_SHARE:.0%}; or a term that never joined",
    advice="--adversarial-weight at the recipe's own, or --adversary-from 0.5",
)
def negligible_adversary(context: RunContext) -> CheckResult | None:
    parameters, weights = context.parameters, context.read_term("adversarial", "weights")
    gradients = [
        context.read_monitor(f"gradient of {kind}") for kind in ("distortion", "adversarial")
    ]
    never_joined = parameters.get("adversary_from") is not None and not len(weights)
    if never_joined and context.complete:
        return CheckResult(
            WARNING,
            "the adversarial term never joined.",
            "This is a plain VAE: no critic ever saw its images.",
            {"ratio": 0.0},
            rebalanced(context, "adversary", adversary_from=0.5),
        )
    if not all(len(gradient) and np.isfinite(gradient[-1]) for gradient in gradients) or not len(
        weights
    ):
        return None
    ratio = float(weights[-1] * gradients[1][-1] / max(gradients[0][-1], 1e-12))
    if ratio >= NEGLIGIBLE_SHARE:
        return None
    return CheckResult(
        WARNING,
        f"its gradient at the decoder's output is {ratio:.2%} of the distortion's (weight "
        f"{weights[-1]:.2g}).",
        "The critic costs time and changes nothing: this is a plain VAE, with a plain VAE's soft "
        "images.",
        {"ratio": ratio, "weight": float(weights[-1])},
        rebalanced(context),
    )


CHECKS = (
    critic_too_strong,
    oscillation,
    critic_too_weak,
    vanishing_generator_gradient,
    mode_collapse,
    negligible_adversary,
)
