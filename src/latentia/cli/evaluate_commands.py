"""Options of the command that measures a run."""

from typing import Annotated

from latentia.cli import options
from latentia.metrics.registry import METRICS


def evaluate(
    run: options.RunName,
    data: options.Data = None,
    split: options.Split = None,
    metrics: Annotated[str | None, METRICS] = None,
    n: options.MostImages = None,
    json_: options.Json = False,
    *,
    features: options.Features = "auto",
    k: int = 5000,
    seed: options.Seed = 0,
    beta: options.Beta = None,
) -> None:
    """Measure a run: likelihood, quality of samples and reconstructions, copies of training images.

    The metrics elbo and nll are bounds on the likelihood, pca compares the error with that of as
    many principal components, probe compares how well labels are read, fd and kd are distances of
    samples and of real images, prdc is precision, recall, density, coverage and sharpness of
    samples, image is the error and sharpness of reconstructions.

    Several processes share the images of elbo and nll: torchrun --nproc_per_node 2 -m -- latentia
    evaluate RUN. The first process measures all other metrics.

    Parameters
    ----------
    metrics : METRIC,...
        metrics to measure, joined by commas: NAMES; the default is elbo, pca and
        (with labels) probe, or fd for a model without an encoder
    k : N
        number of importance samples per image for the bound on nll, at least 1
    """
