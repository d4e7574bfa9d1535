"""Are samples like the data, and is all of the data among the samples: by nearest neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PART = 1000  # rows whose distances are held at once


class Overlap(NamedTuple):
    """Shares, of samples (precision) or of real images (recall, coverage); density has no bound.

    precision: samples within reach of a real image; recall: real images within reach of a sample
    (Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 2 and 3). density: real images within
    whose reach a sample lies, over k; coverage: real images that have a sample within their reach
    (Naeem et al. 2020, arXiv 2002.09797, equations 5 and 6). Reach: the distance to the k-th
    nearest of one's own kind.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(real: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"], k: int = 5) -> Overlap:
    """Of features. The figures depend on both numbers and on k: compare equals only."""
    reach, reach_of_drawn = _reach(real, k), _reach(drawn, k)
    near = torch.zeros(
        len(drawn), dtype=torch.int64, device=drawn.device
    )  # real images whose reach holds a sample
    recalled: list[Bool[Tensor, " part"]] = []
    covered: list[Bool[Tensor, " part"]] = []
    for rows, mine in zip(real.split(PART), reach.split(PART), strict=True):
        apart = torch.cdist(rows, drawn)
        inside = apart <= mine[:, None]
        near += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((apart <= reach_of_drawn).any(1))
    return Overlap(
        precision=(near > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=near.double().mean().item() / k,
        coverage=torch.cat(covered).double().mean().item(),
    )


def _reach(points: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """The distance of each point to the k-th nearest other."""
    parts = [torch.cdist(rows, points).kthvalue(k + 1).values for rows in points.split(PART)]
    return torch.cat(parts)
