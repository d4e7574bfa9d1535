"""Sheet of groups of images: the most typical and the strangest images of each."""

import numpy as np
import torch
import torch.nn.functional as F

from latentia.core.tensors import ImageTensor
from latentia.core.text import pluralize
from latentia.data import Split
from latentia.latents.clusters import Clusters
from latentia.latents.table import tabulate_images
from latentia.report.rendered_images import RenderedImages, render_grid

N_SHOWN, TILE_SIDE = 6, 64  # typical images of a group, and strange ones; pixels of an image


def render_clusters(name: str, split: Split, clusters: Clusters) -> RenderedImages:
    """Show a row for each group; name: that of the run.

    The table has the group of every image, and its distance from the mean.
    """
    tiles, labels, caption = arrange_clusters(name, split, clusters)
    values = {"cluster": clusters.labels, "distance": clusters.distances}
    table = tabulate_images(split, torch.arange(len(split)), values)
    return render_grid(tiles, 2 * N_SHOWN + 1, caption, table, row_labels=labels)


def arrange_clusters(
    name: str, split: Split, clusters: Clusters, n_shown: int = N_SHOWN
) -> tuple[ImageTensor, list[str], str]:
    """Return the tiles of all rows, the label of each row, and a caption.

    A row has the images of a group that are nearest to its mean, a gap, and those farthest away.
    """
    order = np.argsort(clusters.distances, kind="stable")
    images = torch.full((len(clusters.sizes), 2 * n_shown + 1, *split.pixels.shape[1:]), torch.nan)
    for group, row in enumerate(images):
        members = torch.from_numpy(order[clusters.labels[order] == group])
        typical, strange = members[:n_shown], members[n_shown:][-n_shown:]
        row[: len(typical)] = split.get_batch(typical).image.cpu()
        if len(strange):
            row[-len(strange) :] = split.get_batch(strange).image.cpu()
    sizes = [pluralize(size, "image") for size in clusters.sizes]
    caption = (
        f"{name}: groups of {pluralize(len(split), 'image')} by k-means of the latents; left: the "
        "images nearest to the mean of their group, right: the farthest"
    )
    tiles = F.avg_pool2d(images.flatten(0, 1), max(1, max(images.shape[3:]) // TILE_SIDE))
    return tiles, [f"cluster {k}\n{size}" for k, size in enumerate(sizes)], caption
