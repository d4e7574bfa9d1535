"""Yardsticks: a run's coordinates beside PCAs of as many dimensions, by error and by labels."""

from dataclasses import replace
from typing import Any

import numpy as np

from latentia.core.text import format_with_error
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.association import AssociationResult, associate_labels
from latentia.latents.encoding import encode_split
from latentia.latents.probes import MAX_IMAGES, Probe, find_labelled_rows, probe_labels
from latentia.metrics.evaluation import OWN_COORDINATES, Evaluation
from latentia.metrics.pca import encode_rows
from latentia.metrics.result import make_mean_result
from latentia.models.pretrained_features import open_encoder

ERROR_COLUMN = "squared error per pixel"


def tabulate_yardsticks(evaluation: Evaluation, name: str = OWN_COORDINATES) -> Any:
    """Return a pandas DataFrame with a row for each coordinates, and last the labels' chance.

    name: that of the run's own row. Errors have their standard error, labels their 95 % interval.
    """
    from pandas import DataFrame  # takes longer to import than the first steps to train

    table: dict[str, dict[str, str]] = {ERROR_COLUMN: {}}
    for title, errors in evaluation.squared_errors.items():
        mean = make_mean_result("mse", errors, evaluation.split.name)
        table[ERROR_COLUMN][title] = format_with_error(errors.mean().item(), mean.error)
    for pair in evaluation.label_probes:
        probes: dict[str, Probe] = {OWN_COORDINATES: pair.run, evaluation.pca.title: pair.pca}
        texts = {title: probe.text for title, probe in {**probes, **pair.others}.items()}
        column = f"{pair.column}, {pair.run.measure} of {pair.run.n:,} images"
        table[column] = {**texts, "chance": f"{pair.run.chance:z.2f}"}
    return DataFrame(table).rename(index={OWN_COORDINATES: name}).fillna("")


def associate_images(evaluation: Evaluation, max_dims: int, permutations: int) -> AssociationResult:
    """Measure the association of the split's labels with the posterior means of its images.

    With features, each label is also predicted from a PCA of these.

    Raises: Error if the features are unknown, or there is no label to relate
    """
    if has_features := evaluation.features != "auto":
        open_encoder(evaluation.features)  # before any work
    split = evaluation.split
    columns = {name: values.numpy() for name, values in split.columns.items()}
    options: Any = {"max_dims": max_dims, "permutations": permutations}
    table = encode_split(evaluation.autoencoder, split)
    result = associate_labels(table, columns, split.classes, **options)
    return _add_feature_probes(result, evaluation) if has_features else result


def _add_feature_probes(result: AssociationResult, evaluation: Evaluation) -> AssociationResult:
    """Add the linear prediction of each label of the split from a PCA of pretrained features."""
    split, pca = evaluation.split, next(iter(evaluation.others.values()))
    associations = []
    for each in result.associations:
        values = split.columns[each.label].numpy()
        mask, kind = find_labelled_rows(values, each.label, split.classes)
        rows = np.flatnonzero(mask)
        rows = rows[evenly_spaced_rows(len(rows), MAX_IMAGES).numpy()]
        probe = probe_labels(encode_rows(pca, split, rows), values[rows], kind == "class")
        associations.append(replace(each, features=probe))
    return result._replace(associations=associations)
