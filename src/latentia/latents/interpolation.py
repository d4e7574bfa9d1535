"""Walks through the latents of images."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents
from latentia.core.errors import Error

PARALLEL = 1e-6  # of the sine of an angle: below, there is no one arc


@torch.no_grad()
def interpolate(
    model: HasLatents, images: Float[Tensor, "n c h w"], steps: int, *, spherical: bool = False
) -> Float[Tensor, "path c h w"]:
    """Decoded points from each posterior mean to the next, `steps` a leg with both of its ends:
    (n - 1) (steps - 1) + 1 of them. Each image's own place is its reconstruction, to the bit.

    Raises: Error if images or steps are fewer than 2.
    """
    if len(images) < 2 or steps < 2:
        what, given = ("images", len(images)) if len(images) < 2 else ("--steps", steps)
        raise Error(f"{what}: {given}; give at least 2, so that a walk has a start and an end.")
    means = model.encode(images).mean
    whole = model.decode(means)  # in one batch, as `reconstruct` does: the same bits
    shares = torch.linspace(0, 1, steps)[1:-1].tolist()
    walk = arc if spherical else torch.lerp
    path = [whole[:1]]
    for k in range(len(means) - 1):
        between = [walk(means[k], means[k + 1], share) for share in shares]
        path += [model.decode(torch.stack(between))] if between else []
        path.append(whole[k + 1 : k + 2])
    return torch.cat(path)


def arc(a: Tensor, b: Tensor, share: float) -> Tensor:
    """sin((1-t) w) / sin w a + sin(t w) / sin w b, w the angle between a and b; Shoemake 1985,
    section 3.3. Where they are parallel or one is 0, the straight line.
    """
    ends = [end.double().flatten() for end in (a, b)]  # float32 cannot tell small angles
    angle = torch.nn.functional.cosine_similarity(*ends, dim=0).clamp(-1, 1).acos()
    if angle.sin() < PARALLEL or not (a.any() and b.any()):
        return torch.lerp(a, b, share)
    weights = [((t * angle).sin() / angle.sin()).to(a) for t in (1 - share, share)]
    return weights[0] * a + weights[1] * b
