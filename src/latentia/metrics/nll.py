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
from latentia.core.modes import evaluation_mode
from latentia.core.progress import show_progress
from latentia.core.seeding import make_generator
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows

DRAWS_PER_CHUNK = 250  # decoded at once: what a core's cache holds of a digit's pixels


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
    selected_rows, batch_size = evenly_spaced_rows(len(split), n), split.max_batch_size()
    bounds = torch.empty(len(selected_rows), dtype=torch.float64)

    def iterate_bounds() -> Iterator[int]:
        count = 0
        for batch, context in split.iterate_with_context(batch_size, seed):
            first_row = context.step * batch_size
            batch_rows = (
                selected_rows[
                    (selected_rows >= first_row) & (selected_rows < first_row + len(batch.image))
                ]
                - first_row
            )
            if not len(batch_rows):
                continue
            images = model.observe(batch, context)[batch_rows.to(batch.image.device)]
            posterior = model.encode(images)
            image_rows = (first_row + batch_rows).tolist()
            for bound in distributed.map_round_robin(
                len(batch_rows), partial(bound_image, images, posterior, image_rows)
            ):
                bounds[count] = bound
                count += 1
                yield 1

    def bound_image(
        images: Tensor, posterior: DiagonalGaussian, image_rows: list[int], row: int
    ) -> float:
        image_posterior = DiagonalGaussian(*(x[row : row + 1] for x in posterior))
        rng = make_generator(seed, "nll", image_rows[row], images.device)
        return _importance_bound(model, images[row : row + 1], image_posterior, k, rng).item()

    with evaluation_mode(model):
        for _ in show_progress(
            iterate_bounds(), len(selected_rows), f"likelihood, {k:,} draws an image"
        ):
            pass
    return bounds


def _importance_bound(
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    posterior: DiagonalGaussian,
    k: int,
    rng: torch.Generator,
) -> Float[Tensor, ""]:
    """The sum of weights runs in float64, by its logarithm, over parts of the draws."""
    total = torch.tensor(-math.inf, dtype=torch.float64, device=image.device)
    mean = posterior.mean
    for first in range(0, k, DRAWS_PER_CHUNK):
        shape = (min(DRAWS_PER_CHUNK, k - first), *mean.shape[1:])
        eps = torch.randn(shape, generator=rng, device=mean.device, dtype=mean.dtype)
        z = posterior.mean + posterior.sd * eps
        expanded_image = image.expand(len(z), -1, -1, -1)  # one image in memory, however many draws
        weights = -(model.distortion(z, expanded_image) + posterior.log_ratio(z))
        total = torch.logaddexp(total, weights.double().logsumexp(0))
    return (math.log(k) - total).cpu()
