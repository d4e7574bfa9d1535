"""Are samples like the data, and is all of the data among the samples: by nearest neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

PART = 1000  # rows whose distances are held at once


class Overlap(NamedTuple):
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


class Near(NamedTuple):
    """What an `Overlap` is the mean of: for each sample (m,) or real image (n,), in its order."""

    precision: Float[Tensor, " m"]
    recall: Float[Tensor, " n"]
    density: Float[Tensor, " m"]
    coverage: Float[Tensor, " n"]


def overlap(real: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"], k: int = 5) -> Overlap:
    """Of features. The figures depend on both numbers and on k: compare equals only."""
    return Overlap(*(values.mean().item() for values in near(real, drawn, k)))


def near(real: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"], k: int = 5) -> Near:
    """Row by row, float64."""
    reach, reach_of_drawn = _reach(real, k), _reach(drawn, k)
    # real images whose reach holds a sample
    holders = torch.zeros(len(drawn), dtype=torch.float64, device=drawn.device)
    recalled, covered = [], []
    for rows, mine in zip(real.split(PART), reach.split(PART), strict=True):
        apart = torch.cdist(rows, drawn)
        inside = apart <= mine[:, None]
        holders += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((apart <= reach_of_drawn).any(1))
    return Near(
        precision=(holders > 0).double(),
        recall=torch.cat(recalled).double(),
        density=holders / k,
        coverage=torch.cat(covered).double(),
    )


def _reach(points: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    """The distance of each point to the k-th nearest other."""
    parts = [torch.cdist(rows, points).kthvalue(k + 1).values for rows in points.split(PART)]
    return torch.cat(parts)
