"""The likelihood of held-out images, by the importance-weighted bound."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.modes import evaluating
from latentia.core.progress import watched
from latentia.core.seeding import generator
from latentia.data import Split
from latentia.data.splits import evenly

DRAWS = 250  # decoded at once: what a core's cache holds of a digit's pixels


@torch.no_grad()
def nll(
    model: Model, split: Split, *, k: int = 5000, n: int | None = None, seed: int = 0
) -> Float[Tensor, " n"]:
    """Upper bounds on -log p(image), nats, of n images evenly spaced over the split; None: all.

    -log of the mean of k importance weights p(image, z) / q(z | image), z from q: Burda et al.
    2016, arXiv 1509.00519, equation 8, beta 1. Memory does not grow with k; image i has the
    same draws for every n, and k draws are the first of any larger number. Several processes take
    images in turn; all get the result.

    Raises: Error if the model has no encoder.
    """
    if not isinstance(model, HasLatents):
        raise Error(f"{type(model).__name__} has no likelihood: it has no encoder. Give a VAE.")
    wanted, size = evenly(len(split), n), split.at_once()
    found = torch.empty(len(wanted), dtype=torch.float64)

    def each() -> Iterator[int]:
        done = 0
        for batch, moment in split.moments(size, seed):
            first = moment.step * size
            here = wanted[(wanted >= first) & (wanted < first + len(batch.image))] - first
            if not len(here):
                continue
            images = model.observed(batch, moment)[here.to(batch.image.device)]
            posterior = model.encode(images)
            places = (first + here).tolist()
            for bound in distributed.in_turn(len(here), partial(one, images, posterior, places)):
                found[done] = bound
                done += 1
                yield 1

    def one(images: Tensor, posterior: DiagonalGaussian, places: list[int], row: int) -> float:
        own = DiagonalGaussian(*(x[row : row + 1] for x in posterior))
        draw = generator(seed, "nll", places[row], images.device)
        return _bound(model, images[row : row + 1], own, k, draw).item()

    with evaluating(model):
        for _ in watched(each(), len(wanted), f"likelihood, {k:,} draws an image"):
            pass
    return found


def _bound(
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    posterior: DiagonalGaussian,
    k: int,
    draw: torch.Generator,
) -> Float[Tensor, ""]:
    """The sum of weights runs in float64, by its logarithm, over parts of the draws."""
    total = torch.tensor(-math.inf, dtype=torch.float64, device=image.device)
    mean = posterior.mean
    for first in range(0, k, DRAWS):
        shape = (min(DRAWS, k - first), *mean.shape[1:])
        eps = torch.randn(shape, generator=draw, device=mean.device, dtype=mean.dtype)
        z = posterior.mean + posterior.sd * eps
        same = image.expand(len(z), -1, -1, -1)  # one image in memory, however many draws
        weights = -(model.distortion(z, same) + posterior.log_ratio(z))
        total = torch.logaddexp(total, weights.double().logsumexp(0))
    return (math.log(k) - total).cpu()
