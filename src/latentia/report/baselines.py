"""What stands beside a report's numbers: a PCA of as many dimensions, labels, real images."""

import math
from collections.abc import Sequence

from latentia.core.contract import HasLatents
from latentia.core.tensors import ImageTensor
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.registry import METRICS
from latentia.metrics.result import MetricResult
from latentia.metrics.sharpness import measure_sharpness

MAX_DIMS = 1024  # latent dimensions whose principal components take seconds
TITLES = {
    "mse": "mse per pixel of decoded means",
    "pca_mse": "mse per pixel of a {}",
    "sharpness_samples": "sharpness of samples over that of {1} images",
}


def measure_baselines(
    evaluation: Evaluation, samples: ImageTensor
) -> dict[str, Sequence[MetricResult]]:
    """Measure the sharpness of samples, and with latents the PCA and the labels, by metric.

    The PCA has as many dimensions as the latents; above `MAX_DIMS` it is not measured.
    """
    names = []
    model = evaluation.model
    if isinstance(model, HasLatents) and math.prod(model.latent_shape) <= MAX_DIMS:
        names = ["pca", *(["probe"] if evaluation.label_probes else [])]
    images, split = evaluation.iterate_images(), evaluation.split.name
    results = {name: METRICS[name].measure(evaluation) for name in names}
    return {**results, "sharpness": [measure_sharpness(samples, images, split)]}


def format_headlines(results: dict[str, Sequence[MetricResult]]) -> dict[str, str]:
    """Return values at the top of the page by name."""
    by_name = {each.name: each for rows in results.values() for each in rows}
    return {
        title.format(each.note.split(",")[0], each.split): each._replace(unit="").text
        for name, title in TITLES.items()
        if (each := by_name.get(name))
    }
