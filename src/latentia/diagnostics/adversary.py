"""Checks of adversarial training: strength of the critic, stability, variety of samples."""

import math

import numpy as np

from latentia.core.contract import Role
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.run_context import MIN_COVERAGE_IMAGES, RunContext
from latentia.metrics.coverage import measure_pixel_overlap
from latentia.models.monitors import WINDOW_STEPS, rms_std

STRONG_CRITIC_LOSS = 0.03  # nats; usual runs stay above 0.15
CHANCE_LOSS_SHARE = 0.95  # of the loss at chance level
CHANCE_ACCURACY = 0.48  # at chance the mean over 3,000 images stays above; DCGANs reach 0.45
MIN_SPREAD = 0.3  # of the real images' spread; usual samples have 0.8 to 1
MIN_COVERAGE = 0.1  # of held-out images with a sample among their neighbours
FAIR_COVERAGE = 0.6  # usual GANs reach 0.85 to 0.9
VANISHING_SHARE = 0.01  # of the generator's largest gradient
NEGLIGIBLE_SHARE = 0.02  # of the distortion's gradient: turns the update by less than two degrees


def read_monitor_after_warmup(context: RunContext, name: str) -> np.ndarray:
    """Return a monitor from the first row whose running mean covers a whole window."""
    values = context.read_monitor(name)
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return values[:0]
    steps = np.array([row["step"] for row in context.training_rows])[rows]
    return values[rows][steps - steps[0] >= WINDOW_STEPS]


def chance_loss(context: RunContext) -> float:
    """Loss of a constant critic: log 2 for each of its terms, at the term's weight."""
    return math.log(2) * context.read_role(Role.CRITIC, "weights")[-1]


def is_at_chance_loss(context: RunContext) -> bool:
    loss = read_monitor_after_warmup(context, "critic loss")
    return bool(len(loss) and loss[-1] >= CHANCE_LOSS_SHARE * chance_loss(context))


def restore_balance(context: RunContext) -> list[str]:
    """Reset the parameters of the balance; if they are at their defaults, change the critic's."""
    if context.parameters.get("adversarial_weight") == "published":
        return reset_adversarial_weight(context)
    # a factor of 10 silences the critic of a VAE-GAN, and only slows that of a GAN
    factor = 3 if "adversarial_weight" in suggest.get_run_defaults(context) else 10
    factor = 1 / factor if is_at_chance_loss(context) else factor
    return (
        suggest.reset_parameters(context, "gamma", "critic_lr", "lr")
        or scale_parameter(context, "gamma", factor)
        or scale_parameter(context, "critic_lr", 1 / factor)
        or stabilize_training(context)
    )


def reset_adversarial_weight(
    context: RunContext, suffix: str = "balanced", **changes: float
) -> list[str]:
    weight = suggest.get_run_defaults(context).get("adversarial_weight") or 0.5
    return suggest.retrain_run(context, suffix, adversarial_weight=weight, **changes)


def scale_parameter(context: RunContext, parameter: str, factor: float) -> list[str]:
    """Multiply a parameter by a factor; raise 0 to 1; [] if the recipe lacks it or it stays 0."""
    value = context.parameters.get(parameter)
    if value is None or (not value and factor < 1):
        return []
    value = suggest.round_to_two_digits(factor * value) if value else 1.0
    return suggest.retrain_run(context, f"{parameter}{value:g}", **{parameter: value})


def stabilize_training(context: RunContext) -> list[str]:
    if suggest.get_run_defaults(context).keys() & {"gamma", "adversarial_weight"}:
        return suggest.lower_learning_rate(context)
    # its loss and penalties keep generator and critic in balance
    return suggest.use_recipe(context, "mnist_gan", "mnist_gan")


def halve_reconstructions(context: RunContext) -> list[str]:
    """Let the critic also see samples, if it has only seen reconstructions."""
    if context.parameters.get("reconstructions") != 1:
        return []
    return suggest.retrain_run(context, "samples", reconstructions=0.5)


def measure_samples(context: RunContext) -> tuple[float, float, str]:
    """Return the spread of samples over that of held-out images, the coverage of these, and a text.

    The coverage is nan if there are too few images.
    """
    samples, images = context.samples, context.select_images(len(context.samples))
    spread = float(rms_std(samples) / rms_std(images).clamp_min(1e-12))
    coverage, text = math.nan, describe_spread(spread)
    if min(len(images), len(samples)) >= MIN_COVERAGE_IMAGES:
        coverage = measure_pixel_overlap(samples, images).coverage
        text += f", and {coverage:.0%} of held-out images have a sample among their neighbours"
    return spread, coverage, f"{text} (n = {len(samples)} samples, {len(images)} images)"


def describe_spread(spread: float) -> str:
    return f"samples vary {spread:.0%} as much as real images"


def grade_samples(spread: float, coverage: float) -> str:
    """Return the severity of a spread and a coverage, "" for none; a coverage may be nan."""
    is_error = spread < MIN_SPREAD or coverage < MIN_COVERAGE
    return ERROR if is_error else WARNING if coverage < FAIR_COVERAGE else ""


@define_check(
    "critic too strong",
    threshold=f"below {STRONG_CRITIC_LOSS} nats at the end (chance: 1.39, or 0.69 for pairs)",
    early=True,
)
def critic_too_strong(context: RunContext) -> CheckResult | None:
    """The critic's loss, a running mean over 50 steps.

    Suggested change: --gamma, --critic-lr and --lr at the recipe's defaults; else a larger or
    smaller --gamma; or mnist_gan.
    """
    loss = read_monitor_after_warmup(context, "critic loss")
    if not len(loss) or loss[-1] >= STRONG_CRITIC_LOSS or context.is_near_start:
        return None
    monitors = context.training_rows[-1]["monitors"]
    accuracies = {k.removeprefix("accuracy "): v for k, v in monitors.items() if "accuracy" in k}
    shares = ", ".join(f"{share:.1%} of {name}" for name, share in accuracies.items())
    return CheckResult(
        ERROR,
        f"the critic's loss is {loss[-1]:.2g} nats (chance: {chance_loss(context):.2g}), and it "
        f"classifies {shares} correctly.",
        "The generator cannot learn from a critic that is never wrong: its images stay as they "
        "are, however long it trains.",
        {"critic_loss": float(loss[-1]), **{f"right_{name}": v for name, v in accuracies.items()}},
        restore_balance(context),
    )


@define_check(
    "oscillation",
    threshold=f"a median loss above {CHANCE_LOSS_SHARE:.0%} of the loss of a constant critic, and "
    f"an accuracy below {CHANCE_ACCURACY:.0%} at times",
)
def oscillation(context: RunContext) -> CheckResult | None:
    """The critic's loss and accuracy in the second half of the log.

    Suggested change: as for a critic that is too strong.
    """
    names = ("critic loss", "accuracy real", "accuracy fake")
    loss, *accuracies = (read_monitor_after_warmup(context, name) for name in names)
    if len(loss) < 8 or not all(np.isfinite(context.read_monitor(k)).any() for k in names[1:]):
        return None
    half = len(loss) // 2
    accuracy = np.mean([values[half:] for values in accuracies], axis=0)
    loss_over_chance = np.median(loss[half:]) / chance_loss(context)
    low, high = accuracy.min(), accuracy.max()
    if loss_over_chance < CHANCE_LOSS_SHARE or low >= CHANCE_ACCURACY:
        return None
    return CheckResult(
        WARNING,
        f"in the second half of the run the critic's accuracy varied from {low:.1%} to "
        f"{high:.1%}, and its median loss was {loss_over_chance:.0%} of the loss of "
        "a constant critic.",
        "Generator and critic chase each other. Images change from epoch to epoch without getting "
        "better, and chance decides which epoch is saved.",
        {"right_least": low, "right_most": high, "loss_over_coin": float(loss_over_chance)},
        restore_balance(context),
    )


@define_check(
    "vanishing generator gradient", threshold=f"below {VANISHING_SHARE:.0%} of the largest"
)
def vanishing_generator_gradient(context: RunContext) -> CheckResult | None:
    """Norm of the generator's gradient in the last quarter of the log, and its largest.

    Suggested change: as for a critic that is too strong.
    """
    norms = context.read_gradient_norms("generator")
    if len(norms) < 8:
        return None
    last, largest = float(np.median(norms[-len(norms) // 4 :])), float(norms.max())
    if last >= VANISHING_SHARE * largest:
        return None
    return CheckResult(
        ERROR,
        f"the generator's gradient norm fell from {largest:.2g} to {last:.2g} at the end.",
        "The generator no longer learns: its images stay as they are.",
        {"norm": last, "steepest": largest},
        restore_balance(context),
    )


@define_check(
    "critic too weak",
    threshold=f"a loss above {CHANCE_LOSS_SHARE:.0%} of the loss of a constant critic; ERROR or "
    "WARNING as for mode collapse, else NOTE",
)
def critic_too_weak(context: RunContext) -> CheckResult | None:
    """The critic's loss, a running mean over 50 steps; spread of samples over that of real images;
    coverage, the share of held-out images that have a sample nearby.

    Suggested change: as for a critic that is too strong.
    """
    if not is_at_chance_loss(context):
        return None
    loss = read_monitor_after_warmup(context, "critic loss")[-1]
    spread, coverage, text = measure_samples(context)
    severity = grade_samples(spread, coverage) or NOTE
    return CheckResult(
        severity,
        f"the critic's loss is {loss:.3g} nats (chance: {chance_loss(context):.3g}); {text}.",
        "The critic cannot distinguish real from generated images, so the generator learns nothing "
        f"more. Its samples are {'good' if severity == NOTE else 'not good'}.",
        {"critic_loss": loss, "spread": spread, "reached": coverage},
        restore_balance(context),
    )


@define_check(
    "mode collapse",
    threshold=f"ERROR: a spread below {MIN_SPREAD} or a share below {MIN_COVERAGE}; WARNING: a "
    f"share below {FAIR_COVERAGE}",
    early=True,
)
def mode_collapse(context: RunContext) -> CheckResult | None:
    """Spread of samples over that of real images; coverage, the share of held-out images that have
    a sample nearby.

    Suggested change: as for a critic that is too strong.
    """
    logged_spread = read_monitor_after_warmup(context, "spread of samples")
    if not len(logged_spread) or context.is_near_start:
        return None
    if context.early:
        spread, coverage, text = logged_spread[-1], math.nan, describe_spread(logged_spread[-1])
    else:
        spread, coverage, text = measure_samples(context)
    if not (severity := grade_samples(spread, coverage)):
        return None
    return CheckResult(
        severity,
        f"{text}.",
        "The generator draws one image or a few: samples represent a part of your images only.",
        {"spread": spread, "reached": coverage},
        halve_reconstructions(context) or restore_balance(context),
    )


@define_check(
    "adversary that does not matter",
    threshold=f"below {NEGLIGIBLE_SHARE:.0%}; or a term that never began",
)
def negligible_adversary(context: RunContext) -> CheckResult | None:
    """Weighted gradient of the adversarial term at the decoder's output, over the distortion's.

    Suggested change: --adversarial-weight at the recipe's default, or --adversary-from 0.5.
    """
    weights = context.read_role(Role.ADVERSARIAL, "weights")
    if not len(weights):
        start = context.parameters.get("adversary_from")
        if start is None or not context.complete:
            return None
        return CheckResult(
            WARNING,
            "the adversarial term never began.",
            "This is a plain VAE: no critic has seen its images.",
            {"ratio": 0.0},
            reset_adversarial_weight(context, "adversary", adversary_from=min(start, 0.5)),
        )
    names = ("gradient of distortion", "gradient of adversarial")
    gradients = [context.read_monitor(name)[-1] for name in names]
    if not np.isfinite(gradients).all():
        return None
    ratio = float(weights[-1] * gradients[1] / max(gradients[0], 1e-12))
    if ratio >= NEGLIGIBLE_SHARE:
        return None
    return CheckResult(
        WARNING,
        f"the adversarial term's gradient at the decoder's output is {ratio:.2%} of the "
        f"distortion's (weight {weights[-1]:.2g}).",
        "The critic costs time and has no effect: the images are as soft as those of a plain VAE.",
        {"ratio": ratio, "weight": float(weights[-1])},
        reset_adversarial_weight(context),
    )
