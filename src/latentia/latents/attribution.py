"""How each pixel answers to each latent dimension."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from latentia.core.contract import HasLatents


@torch.no_grad()
def attribute_pixels(
    model: HasLatents,
    image: Float[Tensor, "1 c h w"],
    dims: Sequence[int],
    scales: Sequence[float] | None = None,
) -> Float[Tensor, "k c h w"]:
    """d pixel / d z_k of the expected image at the image's posterior mean, by forward mode, times
    `per` of each dimension (default 1): with `Codes.spread`, the change of a pixel, in units of
    white, as the dimension moves by one standard deviation of the data set, to first order.
    """
    mean = model.encode(image).mean
    maps = []
    for position, dim in enumerate(dims):
        direction = torch.zeros_like(mean)
        direction.view(-1)[dim] = 1.0 if scales is None else float(scales[position])
        with sdpa_kernel(SDPBackend.MATH):  # the fast attention knows no forward mode
            maps.append(jvp(model.decode, (mean,), (direction,))[1])
    return torch.cat(maps)
