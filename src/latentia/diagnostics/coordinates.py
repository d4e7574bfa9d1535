"""Checks of coordinates: against principal components of the pixels, and of their correlation."""

import math

import numpy as np

from latentia.core.text import pluralize
from latentia.data.splits import evenly_spaced_rows
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.check import ERROR, NOTE, WARNING, CheckResult, define_check
from latentia.diagnostics.latents import MIN_EXPLAINED, carries_information, get_beta
from latentia.diagnostics.run_context import RunContext
from latentia.diagnostics.validation_curve import find_overfitting
from latentia.latents.agreement import compute_participation_ratio
from latentia.latents.encoding import encode_split
from latentia.metrics.elbo import ACTIVE_VARIANCE
from latentia.metrics.label_probes import compare_probes, probe_column
from latentia.metrics.pca import fit_pixel_pca
from latentia.models.hvae import HVAE
from latentia.models.joint_pca import IMAGES_PER_LATENT

MIN_COLOR_EXPLAINED = 0.2  # share of the variance: below it colours are lost
MAX_LABELS = 3  # in the text
MIN_COLOR_VARIANCE = 1e-3  # of differences from grey: a person sees it; photographs have 6e-3
# Share of the variance explained, and ratio to the error of PCA, from which images are hard to
# describe rather than not learned: 364 photographs of blood cells at 48x64 have 0.42 and 0.9 with
# 37 latents; noise has 0.
MIN_HARD_EXPLAINED, NEAR_PCA = 0.25, 1.2
MAX_CORRELATION = 0.5  # absolute, of two active dimensions
MIN_EFFECTIVE_SHARE = 0.75  # effective dimensions of the correlations, over active ones
MAX_PROBED, MIN_EXCESS = 2000, 0.05  # training images of a probe; score above chance


def measure_pca_error(context: RunContext) -> tuple[float, int]:
    """Return the mean squared error of the decoded images by PCA, and its number of dimensions."""
    pca = fit_pixel_pca(context.images, math.prod(context.autoencoder.latent_shape))
    return float(pca.measure_mse(context.decoded_means[0]).mean()), pca.dims


@define_check("no better than PCA", threshold="a ratio of 1 or more")
def no_better_than_pca(context: RunContext) -> CheckResult | None:
    """Mean squared error of decoded means, over that of as many principal components of pixels.
    A hierarchical VAE is not compared, since its latents are too many for coordinates.

    Suggested change: if the run does not overfit, more --epochs with a tenth of --beta; of
    photo_vae, half the --weight. If neither helps, use principal components.
    """
    if not carries_information(context):
        return None
    if context.has_few_steps or not context.complete:  # more steps may be enough
        return None
    if isinstance(context.autoencoder, HVAE):
        return None
    model, (linear, dims) = context.residual[0], measure_pca_error(context)
    if model < linear:
        return None
    if weight := context.run.metadata.get("closed_form", {}).get("feature_weight"):
        return CheckResult(
            NOTE,
            f"the mean squared error of reconstructions is {model / linear:.2f} times that of PCA "
            f"of the pixels with {pluralize(dims, 'dimension')}, which carries pixels alone.",
            "These coordinates also carry the features of a pretrained network, which costs "
            f"pixels: with less than --weight {weight:g} they read classes worse, pixels better.",
            {"mse": model, "pca_mse": linear, "dims": dims},
            suggest.lower_weight(context),
        )
    advice = "More epochs reduce the error, as does a lower beta, which costs quality of samples."
    if find_overfitting(context):
        advice = "The run overfits, so that more epochs do not reduce the error of new images."
    return CheckResult(
        WARNING,
        f"the mean squared error of reconstructions is {model:.3g}, and {linear:.3g} by PCA of the "
        f"pixels with {pluralize(dims, 'dimension')} (ratio {model / linear:.2f}; n = "
        f"{len(context.decoded_means[0])}).{_describe_worse_labels(context)}",
        "A linear method describes your images as well or better in as many coordinates, and takes "
        "seconds: the coordinates of this model are worth their training only for what PCA lacks, "
        f"such as samples. {advice}",
        {"mse": model, "pca_mse": linear, "dims": dims},
        suggest.train_closer(context),
    )


def _describe_worse_labels(context: RunContext) -> str:
    """Return the labels that are read worse from the coordinates than from the PCA's."""
    split, n = context.held_out, context.max_images
    rows = evenly_spaced_rows(len(split), n)
    columns = {name: v[rows].numpy() for name, v in split.columns.items() if v.ndim == 1}
    if not columns:
        return ""
    pca = fit_pixel_pca(context.images, math.prod(context.autoencoder.latent_shape))
    components = pca.encode(context.select_images(n)).numpy()
    pairs = compare_probes(context.latent_table.mean, components, columns, split.classes)
    worse = [str(pair) for pair in pairs if pair.is_worse]
    return f" Labels are read worse too: {', '.join(worse[:MAX_LABELS])}." if worse else ""


@define_check(
    "colours not learned",
    threshold=f"below {MIN_COLOR_EXPLAINED:.0%}, where the pixels' is at least {MIN_EXPLAINED:.0%}",
)
def colors_not_learned(context: RunContext) -> CheckResult | None:
    """Share of the variance of colour, the difference from grey, that decoded means explain.

    Suggested change: if the run does not overfit, more --epochs with a tenth of --beta.
    """
    if not carries_information(context) or not context.complete:
        return None
    images, decoded = context.decoded_means
    true, reconstructed = (x - x.mean(1, keepdim=True) for x in (images, decoded))
    variance = float((true - true.mean(0)).square().mean())
    if images.shape[1] != 3 or variance < MIN_COLOR_VARIANCE:
        return None
    color = 1 - float((reconstructed - true).square().mean()) / variance
    if color >= MIN_COLOR_EXPLAINED or context.explained_variance < MIN_EXPLAINED:
        return None
    return CheckResult(
        ERROR,
        f"{context.explanation}, but {max(0.0, color):.0%} of that of the colours: they are nearly "
        "grey.",
        "Coordinates say nothing about colour, and samples have none.",
        {"explained": context.explained_variance, "explained_color": color},
        suggest.train_closer(context),
    )


def are_images_hard(context: RunContext) -> bool:
    """Whether a long training explains less than half of the variance, and PCA hardly more."""
    if context.is_short or (get_beta(context) or 0) > 1:
        return False
    if not MIN_HARD_EXPLAINED <= context.explained_variance < MIN_EXPLAINED:
        return False
    return context.residual[0] <= NEAR_PCA * measure_pca_error(context)[0]


@define_check(
    "details not described",
    threshold=f"{MIN_HARD_EXPLAINED:.0%} to {MIN_EXPLAINED:.0%}, with an error of at most "
    f"{NEAR_PCA:g} times that of PCA",
)
def details_not_described(context: RunContext) -> CheckResult | None:
    """Share of the pixels' variance that decoded posterior means explain, and that of PCA.

    Suggested change: twice the --latent, if there are 8 images for each; --tiles for images of many
    small objects.
    """
    if not (carries_information(context) and context.complete and are_images_hard(context)):
        return None
    pca_mse, dims = measure_pca_error(context)
    latent = 2 * context.parameters.get("latent", 0)
    n_train = context.run.metadata["images"]["count"]["train"]
    is_supported = IMAGES_PER_LATENT * latent <= n_train
    return CheckResult(
        WARNING,
        f"{context.explanation}, and PCA with {pluralize(dims, 'dimension')} "
        f"{1 - pca_mse / context.residual[1]:.0%}.",
        "These coordinates describe large shapes, but not small objects. Of image files --tiles "
        "SIZE learns parts; more dimensions keep more of each image, if there are many images.",
        {"explained": context.explained_variance},
        suggest.retrain_run(context, f"latent{latent}", latent=latent) if is_supported else [],
    )


@define_check(
    "coordinates are correlated",
    threshold=f"a pair above {MAX_CORRELATION}, and effective dimensions below "
    f"{MIN_EFFECTIVE_SHARE:.0%} of the active ones",
)
def correlated_coordinates(context: RunContext) -> CheckResult | None:
    """Correlation of posterior means, and their participation ratio: tr(R)^2 / tr(R R).

    Suggested change: latentia traverse RUN IMAGE --axes principal, and latentia encode RUN --axes
    principal.
    """
    if not carries_information(context):
        return None
    mean = context.latent_table.mean
    active = np.flatnonzero(mean.var(0) > ACTIVE_VARIANCE)
    if len(active) < 2 or len(mean) <= 2 * len(active):
        return None
    correlation = np.asarray(np.corrcoef(mean[:, active].T.astype(np.float64)))
    effective = compute_participation_ratio(correlation)
    off_diagonal = np.abs(correlation - np.eye(len(active)))
    first, second = np.unravel_index(off_diagonal.argmax(), off_diagonal.shape)
    worst = float(off_diagonal[first, second])
    if worst < MAX_CORRELATION or effective >= MIN_EFFECTIVE_SHARE * len(active):
        return None
    return CheckResult(
        NOTE,
        f"dimensions {active[first]} and {active[second]} have a correlation of {worst:.2f} over "
        f"the images, and {len(active)} active dimensions are worth {effective:.1f} without "
        f"correlation (n = {len(mean)}).",
        "What one coordinate says is said by others too, and a traversal of one alone leaves the "
        "data. Principal axes of the latents have no correlation.",
        {"effective": effective, "active": len(active), "correlation": worst},
        suggest.use_principal_axes(context),
    )


@define_check(
    "condition in the latents", threshold=f"a 95 % interval that is {MIN_EXCESS} above chance"
)
def condition_in_latents(context: RunContext) -> CheckResult | None:
    """Score of a linear probe that reads the column of --cond from the latents of held-out images.

    Suggested change: --divergence mmd for a column of classes, if the encoder begins untrained.
    """
    column = context.run.condition
    if column is None or not carries_information(context) or not context.complete:
        return None
    train = context.images.split("train").subsample(MAX_PROBED)
    fitted = train, encode_split(context.autoencoder, train).mean
    held_out = context.held_out.subsample(context.max_images), context.latent_table.mean
    probe = probe_column(column, fitted, held_out)
    if probe is None or probe.low < probe.chance + MIN_EXCESS:
        return None
    is_class = bool(context.run.metadata["images"]["labels"].get(column))
    mmd = {"divergence": {"divergence": "mmd", "mmd_weight": 300.0, "rate_weight": 1.0}}
    can_compare = is_class and not (context.starts_fitted or context.has_few_steps)
    return CheckResult(
        NOTE,
        f"{column} is read from the latents of held-out images with {probe.measure} {probe.text} "
        f"(95 % interval; chance {probe.chance:.2f}; n = {probe.n}).",
        f"Neighbours and groups of similar images still depend on {column}. More epochs and fewer "
        "latents leave less of it.",
        {"score": probe.score, "chance": probe.chance},
        suggest.retrain_run(context, "mmd", modifiers=mmd) if can_compare else [],
    )
