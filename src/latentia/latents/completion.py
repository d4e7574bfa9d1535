"""Completion: draws of the hidden pixels of images, given the others."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.missing import Mask, expand_mask
from latentia.core.parameters import require_at_least
from latentia.core.seeding import sample_normal_rows
from latentia.core.tensors import ImageTensor, max_batch_size
from latentia.diffusion.path import broadcast_coefficients
from latentia.diffusion.registry import SAMPLERS
from latentia.diffusion.samplers import time_grid
from latentia.diffusion.target import DenoisedEstimate, to_estimate
from latentia.losses.likelihoods import Likelihood
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.models.vae import VAE
from latentia.nets.column_condition import use_rows

ROUNDS = 20  # by default
DrawNoise = Callable[[str, Sequence[int]], Tensor]  # for a purpose, in the shape of a row
Observed = Bool[Tensor, "b c h w"]


@torch.no_grad()
def complete_images(
    model: Any,
    images: ImageTensor,
    mask: Mask,
    samples: int = 8,
    *,
    steps: int | None = None,
    seed: int = 0,
    cond: Tensor | None = None,
) -> Float[Tensor, "n samples c h w"]:
    """Draw the pixels of images where the mask is 0, several times each, and keep the others.

    steps: rounds of a VAE, or sampling steps of a diffusion of pixels, whose condition is cond.

    Raises: Error if samples or steps are fewer than 1, or the model draws no pixels
    """
    require_at_least("--samples", samples, 1)
    require_at_least("--steps", steps, 1)
    if isinstance(model, LatentDiffusion):
        complete: Any = partial(complete_by_diffusion, model, steps=steps, cond=cond)
    elif isinstance(model, VAE) and type(model.likelihood).sample is not Likelihood.sample:
        complete = partial(complete_by_gibbs, model, rounds=steps or ROUNDS)
    else:
        kind = type(getattr(model, "likelihood", model)).__name__
        raise Error(
            f"{kind} draws no pixels, so that it completes no images; take a VAE whose likelihood "
            "has a method sample, or pixel_diffusion."
        )
    images = images.to(next(model.parameters()))
    observed = expand_mask(mask, images) > 0
    rows, parts = torch.arange(len(images)).repeat_interleave(samples), []
    for block, chunk in enumerate(rows.split(max_batch_size(images.shape[1:], 1024))):

        def draw(purpose: str, shape: Sequence[int], n: int = len(chunk), block: int = block):
            purpose = f"complete/{block}/{purpose}"
            return sample_normal_rows(n, shape, seed=seed, purpose=purpose).to(images)

        with use_rows(model, chunk):
            parts.append(complete(images[chunk], observed[chunk], draw).cpu())
    return torch.cat(parts).unflatten(0, (len(images), samples))


def complete_by_gibbs(
    model: VAE, images: ImageTensor, observed: Observed, draw: DrawNoise, *, rounds: int
) -> ImageTensor:
    """Pseudo-Gibbs sampling: Rezende et al. 2014, arXiv 1401.4082, appendix F.

    Each round draws hidden pixels from p(image | z), then z from q(z | image); the last z gives the
    expected hidden pixels. The start is the prior. With an exact posterior the limit is exact.
    """
    z = draw("start", model.latent_shape)
    for k in range(rounds):
        with model.use_target():
            pixels = model.likelihood.sample(
                model.decoder(z), draw(f"pixels {k}", images.shape[1:])
            )
        images = torch.where(observed, images, pixels.clamp(0, 1))
        z = model.encode(images).sample(draw(f"latents {k}", model.latent_shape))
    return torch.where(observed, images, model.decode(z))


def complete_by_diffusion(
    model: LatentDiffusion,
    images: ImageTensor,
    observed: Observed,
    draw: DrawNoise,
    *,
    steps: int | None,
    cond: Tensor | None,
) -> ImageTensor:
    """Sampling that keeps the observed pixels at each step: Song et al. 2021, arXiv 2011.13456.

    The hidden pixels fit the others, but are no exact draw from p(hidden | observed).
    """
    path, data, start = model.path, model.standardize(images), draw("prior", model.latent_shape)
    cond = None if cond is None else model.resolve_condition(len(images), 0, cond)
    embeddings = model.condition_embeddings(len(images), cond)

    def denoise(z: Tensor, t: float) -> DenoisedEstimate:
        times = torch.full((len(z),), t).to(z)
        coeffs = broadcast_coefficients(path.coefficients(times), z)
        z = torch.where(observed, coeffs.alpha * data + coeffs.sigma * start, z)
        return to_estimate(path.target, model.predict(z, times, embeddings), z, coeffs)

    sampler, times = SAMPLERS[model.sampling.sampler], time_grid(steps or model.sampling.steps)
    shape = model.latent_shape
    *_, z = sampler(denoise, path, start, times, lambda step: draw(f"prior/{step}", shape))
    z = z * model.latent_sd + model.latent_mean
    return torch.where(observed, images, model.autoencoder.decode(z))
