"""What stands beside a report's numbers: a PCA of as many dimensions, labels, real images."""

import html
from collections.abc import Sequence

from latentia.core.contract import HasLatents
from latentia.core.tensors import ImageTensor
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.registry import METRICS
from latentia.metrics.result import MetricResult, format_values
from latentia.metrics.sharpness import measure_sharpness

PROBE_TEXT = (
    "Read from the coordinates of images by linear probes, and beside it from the principal "
    "components of the pixels: out of fold, with 95 % interval over images. Chance: the same for "
    "permuted labels."
)


def measure_baselines(
    evaluation: Evaluation, samples: ImageTensor
) -> dict[str, Sequence[MetricResult]]:
    """Measure the sharpness of samples, and with latents the PCA and the labels, by metric."""
    names = []
    if isinstance(evaluation.model, HasLatents):
        names = ["pca", *(["probe"] if evaluation.label_probes else [])]
    images, split = evaluation.iterate_images(), evaluation.split.name
    results = {name: METRICS[name].measure(evaluation) for name in names}
    return {**results, "sharpness": [measure_sharpness(samples, images, split)]}


def format_headlines(results: dict[str, Sequence[MetricResult]]) -> dict[str, str]:
    """Return values at the top of the page by name."""
    titles = {
        "mse": "mse per pixel of decoded means",
        "pca_mse": "mse per pixel of a {note}",
        "sharpness_samples": "sharpness of samples over that of {split} images",
    }
    return {
        titles[each.name].format(note=each.note.split(",")[0], split=each.split): (
            f"{each.value:.3g} ± {each.error:.1g}" if each.error else each.text
        )
        for rows in results.values()
        for each in rows
        if each.name in titles
    }


def format_probe_table(results: Sequence[MetricResult]) -> str:
    """Return an HTML table with a row for each label."""
    heads = ["label", "", "by", "from the run's coordinates", *results[0].beside, "images"]
    rows = [
        [
            *(each.name.removeprefix("probe_"), each.unit, each.note.split(",")[0]),
            format_values([each.value or 0.0, *(each.limits or ())]),
            *map(format_values, each.beside.values()),
            each.counts,
        ]
        for each in results
    ]
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
