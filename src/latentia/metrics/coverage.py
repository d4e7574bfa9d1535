"""Are samples like the data, and is all of the data among the samples: by nearest neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK_SIZE = 1000  # rows whose distances are held at once


class PRDC(NamedTuple):
    """Shares, of samples (precision) or of real images (recall, coverage); density has no bound.

    precision: samples within reach of a real image; recall: real images within reach of a sample
    (Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2, equations 1 and 2). density: real
    images within whose reach a sample lies, over k; coverage: real images that have a sample
    within their reach (Naeem et al. 2020, arXiv 2002.09797, section 3). Reach: the distance to
    the k-th nearest of one's own kind.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class PRDCPerImage(NamedTuple):
    """What an `Overlap` is the mean of: for each sample (m,) or real image (n,), in its order."""

    precision: Float[Tensor, " m"]
    recall: Float[Tensor, " n"]
    density: Float[Tensor, " m"]
    coverage: Float[Tensor, " n"]


def prdc(real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], k: int = 5) -> PRDC:
    """Of features. The figures depend on both numbers and on k: compare equals only."""
    return PRDC(*(values.mean().item() for values in prdc_per_image(real, samples, k)))


def prdc_per_image(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], k: int = 5
) -> PRDCPerImage:
    """Row by row, float64."""
    real_radii, sample_radii = _kth_neighbor_distances(real, k), _kth_neighbor_distances(samples, k)
    # real images whose reach holds a sample
    containing_count = torch.zeros(len(samples), dtype=torch.float64, device=samples.device)
    recall_chunks, coverage_chunks = [], []
    for rows, row_radii in zip(real.split(CHUNK_SIZE), real_radii.split(CHUNK_SIZE), strict=True):
        distances = torch.cdist(rows, samples)
        is_inside = distances <= row_radii[:, None]
        containing_count += is_inside.sum(0)
        coverage_chunks.append(is_inside.any(1))
        recall_chunks.append((distances <= sample_radii).any(1))
    return PRDCPerImage(
        precision=(containing_count > 0).double(),
        recall=torch.cat(recall_chunks).double(),
        density=containing_count / k,
        coverage=torch.cat(coverage_chunks).double(),
    )


def _kth_neighbor_distances(points: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """The distance of each point to the k-th nearest other."""
    chunks = [torch.cdist(rows, points).kthvalue(k + 1).values for rows in points.split(CHUNK_SIZE)]
    return torch.cat(chunks)
