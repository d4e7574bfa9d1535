"""Negative log-likelihood of held-out images, by the importance-weighted bound."""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluation_mode
from latentia.core.posterior import Posterior, log_ratio, map_tensors
from latentia.core.progress import show_progress
from latentia.core.seeding import make_generator
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows
from latentia.nets.column_condition import use_columns, use_rows

DRAWS_PER_CHUNK = 250  # decoded at once; the pixels of so many digits fit a core's cache


class ImportanceBounds(NamedTuple):
    """Bounds of `nll` (n,), and the share of each image's largest importance weight in their sum.

    A share near 1 says that the bound rests on one draw, so that more draws would lower it.
    """

    bounds: Float[Tensor, " n"]
    largest_shares: Float[Tensor, " n"]


def nll(
    model: Model, split: Split, *, k: int = 5000, n: int | None = None, seed: int = 0
) -> Float[Tensor, " n"]:
    """Upper bounds on -log p(image) in nats; Burda et al. 2016, arXiv 1509.00519, equation 8.

    Each is -log of the mean of k importance weights p(image, z) / q(z | image), with z from q and
    beta 1. Memory does not grow with k. The draws of an image depend on neither n nor k: more draws
    begin with the same ones. Several processes share the images and all return the same result.

    Parameters
    ----------
    model : Model
        a trained model with latents
    split : Split
        images to measure on
    k : int
        importance weights per image
    n : int, optional
        number of images, evenly spaced over the split; None: all
    seed : int
        seed of the draws

    Returns
    -------
    Tensor
        one bound per image (n,)

    Raises
    ------
    Error
        if the model has no encoder, or its posterior no density

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> latentia.nll(run.model, run.split("test"), k=10, n=3).shape
    torch.Size([3])
    """
    return measure_importance_bounds(model, split, k=k, n=n, seed=seed).bounds


@torch.no_grad()
def measure_importance_bounds(
    model: Model, split: Split, *, k: int = 5000, n: int | None = None, seed: int = 0
) -> ImportanceBounds:
    """Measure the bounds of `nll`, and how much each rests on a single draw."""
    if not isinstance(model, HasLatents):
        raise Error(f"{type(model).__name__} has no likelihood: it has no encoder. Give a VAE.")
    target_rows, size = evenly_spaced_rows(len(split), n), split.max_batch_size()
    values = []

    def iterate_bounds() -> Iterator[int]:
        for batch, context in split.iterate_with_context(size, seed):
            first = context.step * size
            is_here = (target_rows >= first) & (target_rows < first + len(batch.image))
            rows = target_rows[is_here] - first
            if not len(rows):
                continue
            images = model.observe(batch, context)[rows.to(batch.image.device)]
            with use_columns(model, batch.columns), use_rows(model, rows):
                posterior = model.encode(images)
                measure = partial(bound_image, images, posterior, (first + rows).tolist())
                for value in distributed.map_round_robin(len(rows), measure):
                    values.append(value)
                    yield 1

    def bound_image(
        images: Tensor, posterior: Posterior, split_rows: list[int], row: int
    ) -> list[float]:
        image_posterior = map_tensors(lambda x: x[row : row + 1], posterior)
        rng = make_generator(seed, "nll", split_rows[row], images.device)
        with use_rows(model, [row]):
            return _importance_bound(model, images[row : row + 1], image_posterior, k, rng).tolist()

    with evaluation_mode(model):
        description = f"likelihood, {k:,} draws an image"
        for _ in show_progress(iterate_bounds(), len(target_rows), description):
            pass
    return ImportanceBounds(*torch.tensor(values, dtype=torch.float64).reshape(-1, 2).unbind(1))


def _importance_bound(
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    posterior: Posterior,
    k: int,
    rng: torch.Generator,
) -> Float[Tensor, "2"]:
    """-log of the mean importance weight of k draws, and the largest one's share in their sum.

    The sum is taken chunk by chunk in float64.
    """
    total = largest = torch.tensor(-math.inf, dtype=torch.float64, device=image.device)
    mean = posterior.mean
    for first in range(0, k, DRAWS_PER_CHUNK):
        shape = (min(DRAWS_PER_CHUNK, k - first), *mean.shape[1:])
        eps = torch.randn(shape, generator=rng, device=mean.device, dtype=mean.dtype)
        z = posterior.sample(eps)
        images = image.expand(len(z), -1, -1, -1)  # a view: the image is in memory once
        logs = -(model.distortion(z, images) + log_ratio(posterior, z, "The likelihood (nll)"))
        total = torch.logaddexp(total, logs.double().logsumexp(0))
        largest = torch.maximum(largest, logs.double().max())
    return torch.stack([math.log(k) - total, (largest - total).exp()]).cpu()
