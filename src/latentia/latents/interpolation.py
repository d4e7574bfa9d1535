"""Walks through the latents of images."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.errors import Error

MIN_SINE = 1e-6  # of the sine of an angle: below, there is no one arc


@torch.no_grad()
def interpolate_images(
    model: HasLatents, images: Float[Tensor, "n c h w"], steps: int, *, spherical: bool = False
) -> Float[Tensor, "path c h w"]:
    """Decoded points from each posterior mean to the next, `steps` a leg with both of its ends:
    (n - 1) (steps - 1) + 1 of them. Each image's own place is its reconstruction, to the bit.

    Raises: Error if images or steps are fewer than 2.
    """
    if len(images) < 2 or steps < 2:
        parameter, count = ("images", len(images)) if len(images) < 2 else ("--steps", steps)
        raise Error(
            f"{parameter}: {count}; give at least 2, so that a walk has a start and an end."
        )
    means = model.encode(images).mean
    reconstructions = model.decode(means)  # in one batch, as `reconstruct` does: the same bits
    fractions = torch.linspace(0, 1, steps)[1:-1].tolist()
    interpolate_pair = slerp if spherical else torch.lerp
    path = [reconstructions[:1]]
    for k in range(len(means) - 1):
        points = [interpolate_pair(means[k], means[k + 1], fraction) for fraction in fractions]
        path += [model.decode(torch.stack(points))] if points else []
        path.append(reconstructions[k + 1 : k + 2])
    return torch.cat(path)


def slerp(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    """sin((1-t) w) / sin w a + sin(t w) / sin w b, w the angle between a and b; Shoemake 1985,
    section 3.3. Where they are parallel or one is 0, the straight line.
    """
    ends = [end.double().flatten() for end in (a, b)]  # float32 cannot tell small angles
    angle = torch.nn.functional.cosine_similarity(*ends, dim=0).clamp(-1, 1).acos()
    if angle.sin() < MIN_SINE or not (a.any() and b.any()):
        return torch.lerp(a, b, fraction)
    weights = [((t * angle).sin() / angle.sin()).to(a) for t in (1 - fraction, fraction)]
    return weights[0] * a + weights[1] * b
