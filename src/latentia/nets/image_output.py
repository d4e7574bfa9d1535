"""The convolution that ends in an image: from many channels to one or three."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def shifted(padded: Float[Tensor, "b d ph pw"], side: int) -> list[Float[Tensor, "b d h w"]]:
    """A view for each place of a kernel of this side, in its order: where that place sends to."""
    h, w = (length - side + 1 for length in padded.shape[2:])
    ends = [(i, j) for i in reversed(range(side)) for j in reversed(range(side))]
    return [padded[:, :, i : i + h, j : j + w] for i, j in ends]


def wider(x: Tensor) -> torch.dtype:
    """What sums of such numbers are kept in."""
    return torch.promote_types(x.dtype, torch.float32)


class Shared(torch.autograd.Function):
    """conv2d that keeps height and width, without bias: each pixel sends its neighbours their
    shares, which are added. The library's sums in another order: a matrix product, and its rows
    shifted.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore
        (b, _, h, w), (d, _, side, _) = x.shape, weight.shape
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h w, c): a view, where channels are last
        kernel = weight.permute(0, 2, 3, 1).flatten(0, 2)  # (d side^2, c)
        ctx.save_for_backward(pixels, kernel)
        ctx.sizes = h, w, side
        shares = (kernel @ pixels.transpose(1, 2)).view(b, d, -1, h, w)
        around = shares.new_zeros((b, d, h + side - 1, w + side - 1), dtype=wider(x))
        for k, part in enumerate(shifted(around, side)):
            part += shares[:, :, k]
        edge = side // 2
        return around[:, :, edge : edge + h, edge : edge + w].to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        (pixels, kernel), (h, w, side) = ctx.saved_tensors, ctx.sizes
        around = F.pad(gradient, [side // 2] * 4)
        shares = torch.stack(shifted(around, side), 2).flatten(1, 2).flatten(2)  # as in `forward`
        of_x = (shares.transpose(1, 2) @ kernel).unflatten(1, (h, w)).permute(0, 3, 1, 2)
        of_weight = (shares @ pixels).sum(0, dtype=wider(kernel)).to(kernel.dtype)
        return of_x, of_weight.view(-1, side, side, kernel.shape[1]).permute(0, 3, 1, 2)


class ToImage(nn.Conv2d):
    """nn.Conv2d of an odd kernel that keeps height and width.

    In bfloat16 on a CPU the library takes twice as long for it (oneDNN, PyTorch 2.13: NOTES).
    """

    def __init__(self, before: int, after: int, side: int = 3):
        super().__init__(before, after, side, padding=side // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # pyright: ignore
        cpu = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (cpu and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return super().forward(x)
        y = Shared.apply(x.bfloat16(), self.weight.bfloat16())
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]  # pyright: ignore
