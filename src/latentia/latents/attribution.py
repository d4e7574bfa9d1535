"""Attribution: how each pixel changes with each latent dimension."""

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
    """Return d pixel / d z_k times the scale of dimension k, by forward-mode differentiation.

    The derivative is that of the decoded image at the image's posterior mean. With
    `LatentTable.aggregate_sd` as scales, a value is the change of the pixel (1 is white) to first
    order as the dimension moves by one standard deviation of the data.

    Parameters
    ----------
    model : Model
        a trained model with latents
    image : Tensor
        one image (1, c, h, w)
    dims : sequence of int
        dimensions
    scales : sequence of float, optional
        one for each dimension; the default is 1

    Returns
    -------
    Tensor
        change of each pixel (k, c, h, w)

    Raises
    ------
    Error
        if the image has another shape than the model's

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> latentia.attribute_pixels(run.model, run.sample(1), [0, 1]).shape
    torch.Size([2, 1, 28, 28])
    """
    mean = model.encode(image).mean
    maps = []
    for k, dim in enumerate(dims):
        direction = torch.zeros_like(mean)
        direction.view(-1)[dim] = 1.0 if scales is None else float(scales[k])
        with sdpa_kernel(SDPBackend.MATH):  # the fast attention kernels have no forward mode
            maps.append(jvp(model.decode, (mean,), (direction,))[1])
    return torch.cat(maps)
