"""Projection: latents of given images by optimisation, also for a model without an encoder."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasEncoder
from latentia.core.errors import Error
from latentia.core.parameters import require_at_least
from latentia.core.prior import Prior, transform_rows
from latentia.core.schedules import cosine
from latentia.core.seeding import sample_normal_rows
from latentia.core.tensors import ImageTensor, Latents, PerImage, map_chunks, max_batch_size

STARTS = 4  # by default
CANDIDATES = 32  # random latents for each start, of which those of smallest error are refined
LEARNING_RATE = 0.1  # of Adam, in standard deviations of the prior


class Projection(NamedTuple):
    """Latents of images.

    Parameters
    ----------
    z : Tensor
        latents (n, *latent)
    images : Tensor
        their images (n, c, h, w) in [0, 1]
    mse, start_mse : Tensor
        squared errors per pixel (n,) of these images, and of the best ones before optimisation
    """

    z: Latents
    images: ImageTensor
    mse: PerImage
    start_mse: PerImage


def project_image(
    model: Any,
    image: Float[Tensor, "1 c h w"],
    *,
    starts: int | None = None,
    steps: int = 300,
    sigma: float = 0.05,
    seed: int = 0,
) -> Projection:
    """Minimise |x - G(z)|^2 / (2 sigma^2) - log p(z) by Adam, from several starts.

    This is the mode of the posterior of z for Gaussian pixels (Bora et al. 2017, arXiv 1703.03208,
    equation 1, with the prior's density as penalty).

    starts: random starts, of which the best result is kept; each is the best of 32. None: the
    posterior mean, or 4 if the model has no encoder. sigma: standard deviation of a pixel.

    Raises: Error if starts or steps are fewer than 1, or sigma is not more than 0
    """
    require_at_least("--starts", starts, 1)
    require_at_least("--steps", steps, 1)
    if not 0 < sigma < math.inf:
        raise Error(f"--sigma is {sigma:g}; it must be a number, more than 0.")
    target = image.to(next(model.parameters()))
    # an image is clipped beyond black and white, and has no error there
    low, high = target.where(target > 0, -torch.inf), target.where(target < 1, torch.inf)
    decode, generate = model.decode, getattr(model, "generate", model.decode)
    prior: Prior | None = getattr(model, "prior", None)

    def compute_objective(z: Latents) -> PerImage:
        images = generate(z)
        error = (images - images.clamp(low, high)).square().flatten(1).sum(1)
        energy = z.square().flatten(1).sum(1) / 2 if prior is None else -prior.log_prob(z)
        return error / (2 * sigma**2) + energy

    if starts is None and isinstance(model, HasEncoder):
        z = model.encode(image).mean
    else:
        starts = starts or STARTS
        n, rows = CANDIDATES * starts, max_batch_size(image.shape, CANDIDATES)
        z = sample_normal_rows(n, model.latent_shape, seed=seed, purpose="projection").to(target)
        z = transform_rows(prior, z, seed)
        with torch.no_grad():
            z = z[map_chunks(compute_objective, z, rows=rows).argsort(stable=True)[:starts]]
    first, z = z[:1], z.detach().clone().requires_grad_()
    optimizer, schedule = torch.optim.Adam([z]), cosine(warmup=0.05)
    for step in range(steps):
        (z.grad,) = torch.autograd.grad(compute_objective(z).sum(), z)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * schedule((step + 0.5) / steps)
        optimizer.step()
    with torch.no_grad():
        best = z[compute_objective(z).argmin()][None]
        images = decode(torch.cat([first, best]))
    start_mse, mse = (images - target).square().flatten(1).mean(1).split(1)
    return Projection(best.detach(), images[1:], mse, start_mse)
