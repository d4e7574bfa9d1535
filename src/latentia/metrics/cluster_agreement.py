"""Agreement of groups of images with their labels, beside that of groups of a pixel PCA."""

from contextlib import suppress

from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.clusters import Clusters, fit_kmeans, score_agreement
from latentia.latents.encoding import SAMPLE
from latentia.latents.probes import find_labelled_rows
from latentia.metrics.evaluation import OWN_COORDINATES
from latentia.metrics.pca import encode_rows, fit_pixel_pca
from latentia.runs.folder import RunFolder


def add_agreement(
    clusters: Clusters, run: RunFolder, images: Images, split: Split, dims: int
) -> Clusters:
    """Add the adjusted Rand indices with the columns of classes, on at most 5,000 images.

    A PCA of the training images' pixels to `dims` dimensions is grouped into the same number by
    k-means; it is left out where those images are missing.
    """
    from pandas import DataFrame

    number, columns = len(clusters.sizes), {}
    rows = evenly_spaced_rows(len(split), SAMPLE).numpy()
    for name, column in split.columns.items():
        with suppress(Error):  # of too few labels
            values = column.cpu().numpy()[rows]
            mask, kind = find_labelled_rows(values, name, split.classes)
            if values.ndim == 1 and kind == "class":
                columns[name] = mask, values[mask]
    if number == 1 or not columns:
        return clusters
    groups = {OWN_COORDINATES: clusters.labels[rows]}
    with suppress(Error):
        pca = fit_pixel_pca(images if run.is_training_data(images) else run.images(), dims)
        groups[pca.title] = fit_kmeans(encode_rows(pca, split, rows), number, starts=10).labels_
    table = {
        f"{name} of {len(values):,} images": {
            title: str(score_agreement(each[mask], values)) for title, each in groups.items()
        }
        for name, (mask, values) in columns.items()
    }
    return clusters._replace(agreement=DataFrame(table))
