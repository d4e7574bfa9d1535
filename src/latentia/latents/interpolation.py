"""Interpolation between images in the latent space."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.memory import check_picture_memory
from latentia.core.parameters import require_at_least
from latentia.nets.column_condition import use_path

MIN_SINE = 1e-6  # sine of an angle: below it the arc between two vectors is not unique


@torch.no_grad()
def interpolate_images(
    model: Any,
    images: Float[Tensor, "n c h w"],
    steps: int,
    *,
    spherical: bool = False,
    means: Tensor | None = None,
) -> Float[Tensor, "path c h w"]:
    """Decode the path from each image's posterior mean to the next.

    At each posterior mean the path is the reconstruction, bit for bit.

    Parameters
    ----------
    model : Model
        a trained model with latents; of a GAN, give means
    images : Tensor
        two or more images (n, c, h, w)
    steps : int
        images from one posterior mean to the next, both ends included, at least 2
    spherical : bool
        follow arcs instead of straight lines
    means : Tensor, optional
        latents of the images (n, *latent), if they are known; the images are then not encoded

    Returns
    -------
    Tensor
        (n - 1) (steps - 1) + 1 images (path, c, h, w)

    Raises
    ------
    Error
        if images or steps are fewer than 2

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> latentia.interpolate_images(run.model, run.sample(2), 5).shape
    torch.Size([5, 1, 28, 28])
    """
    require_at_least("The number of images", len(images), 2)
    require_at_least("--steps", steps, 2)
    check_picture_memory((len(images) - 1) * steps, images.shape[1:], "--steps")
    points: Tensor = model.encode(images).mean if means is None else means
    reconstructions = model.decode(points)  # in one batch, as `reconstruct` does: the same bits
    fractions = torch.linspace(0, 1, steps)[1:-1].tolist()
    interpolate = slerp if spherical else torch.lerp
    path = [reconstructions[:1]]
    for k in range(len(points) - 1):
        z = [interpolate(points[k], points[k + 1], fraction) for fraction in fractions]
        with use_path(model, k, fractions):
            path += [model.decode(torch.stack(z))] if z else []
        path.append(reconstructions[k + 1 : k + 2])
    return torch.cat(path)


def slerp(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    """sin((1-t) w) / sin w a + sin(t w) / sin w b, w the angle of a and b; Shoemake 1985, 3.3.

    If a and b are parallel, or one is 0, this is linear interpolation.
    """
    ends = [end.double().flatten() for end in (a, b)]  # float32 does not resolve small angles
    angle = torch.nn.functional.cosine_similarity(*ends, dim=0).clamp(-1, 1).acos()
    if angle.sin() < MIN_SINE or not (a.any() and b.any()):
        return torch.lerp(a, b, fraction)
    weights = [((t * angle).sin() / angle.sin()).to(a) for t in (1 - fraction, fraction)]
    return weights[0] * a + weights[1] * b
