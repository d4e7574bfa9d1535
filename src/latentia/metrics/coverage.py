"""Precision, recall, density and coverage of samples, by nearest neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK_SIZE = 1000  # rows whose distances are held in memory at once
MAX_COMPONENTS = 32  # principal components of the real pixels, in which neighbours are found


class PRDC(NamedTuple):
    """Precision, recall and coverage are shares in [0, 1]; density has no upper bound.

    The radius of a point is its distance to the k-th nearest point of the same set. precision:
    share of samples within the radius of a real image; recall: share of real images within the
    radius of a sample (Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2, equations 1 and 2).
    density: number of real images whose radius holds a sample, over k; coverage: share of real
    images with a sample within their radius (Naeem et al. 2020, arXiv 2002.09797, section 3).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of features.

    The values depend on n, m and k: only values of the same n, m and k can be compared.

    Parameters
    ----------
    real : Tensor
        features of images (n, d)
    samples : Tensor
        features of samples (m, d)
    k : int
        number of the neighbour whose distance is the radius of a point

    Returns
    -------
    PRDC
        precision, recall and coverage in [0, 1], and density

    Raises
    ------
    RuntimeError
        if a set has k points or fewer

    Examples
    --------
    >>> import latentia, torch
    >>> points = torch.arange(20.0)[:, None]
    >>> latentia.prdc(points, points).precision
    1.0
    """
    values = prdc_per_image(real, samples, k)
    return PRDC(**{name: each.mean().item() for name, each in values.items()})


def prdc_per_image(
    real: Float[Tensor, "n d"], samples: Float[Tensor, "m d"], k: int = 5
) -> dict[str, Float[Tensor, " _"]]:
    """Return values whose means are `PRDC`, by its names, float64.

    Precision and density have one for each sample, recall and coverage for each real image.
    """
    radii, sample_radii = _kth_neighbor_distances(real, k), _kth_neighbor_distances(samples, k)
    counts = torch.zeros(len(samples), dtype=torch.float64, device=samples.device)
    recall, coverage = [], []
    for rows, row_radii in zip(real.split(CHUNK_SIZE), radii.split(CHUNK_SIZE), strict=True):
        distances = torch.cdist(rows, samples)
        is_inside = distances <= row_radii[:, None]
        counts += is_inside.sum(0)
        coverage.append(is_inside.any(1))
        recall.append((distances <= sample_radii).any(1))
    return {
        "precision": (counts > 0).double(),
        "recall": torch.cat(recall).double(),
        "density": counts / k,
        "coverage": torch.cat(coverage).double(),
    }


def _kth_neighbor_distances(points: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    # the nearest point of each is itself
    chunks = [torch.cdist(rows, points).kthvalue(k + 1).values for rows in points.split(CHUNK_SIZE)]
    return torch.cat(chunks)


def measure_pixel_overlap(
    samples: Float[Tensor, "m c h w"], images: Float[Tensor, "n c h w"]
) -> PRDC:
    """Precision, recall, density and coverage in principal components of the real pixels."""
    n = min(len(samples), len(images))
    pixels = images.flatten(1).double()
    centre = pixels.mean(0)
    k = min(MAX_COMPONENTS, n - 1, pixels.shape[1])
    centred = pixels - centre
    # exact, and its cost depends on the number of images only
    eigenvalues, eigenvectors = torch.linalg.eigh(centred @ centred.T)
    scales = eigenvalues[-k:].clamp_min(1e-12).sqrt()
    axes = centred.T @ eigenvectors[:, -k:] / scales
    real, fake = ((x.flatten(1).double()[:n] - centre) @ axes for x in (images, samples))
    return prdc(real.float(), fake.float(), k=min(5, n - 1))
