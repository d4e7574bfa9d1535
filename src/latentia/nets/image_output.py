"""The convolution that ends in an image: from many channels to one or three."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def shifted_views(
    canvas: Float[Tensor, "b d ph pw"], kernel_size: int
) -> list[Float[Tensor, "b d h w"]]:
    """A view for each place of a kernel of this side, in its order: where that place sends to."""
    h, w = (length - kernel_size + 1 for length in canvas.shape[2:])
    offsets = [(i, j) for i in reversed(range(kernel_size)) for j in reversed(range(kernel_size))]
    return [canvas[:, :, i : i + h, j : j + w] for i, j in offsets]


def accumulation_dtype(tensor: Tensor) -> torch.dtype:
    """What sums of such numbers are kept in."""
    return torch.promote_types(tensor.dtype, torch.float32)


class ScatterConv2d(torch.autograd.Function):
    """conv2d that keeps height and width, without bias: each pixel sends its neighbours their
    shares, which are added. The library's sums in another order: a matrix product, and its rows
    shifted.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore
        (b, _, h, w), (d, _, kernel_size, _) = x.shape, weight.shape
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h w, c): a view, where channels are last
        kernel = weight.permute(0, 2, 3, 1).flatten(0, 2)  # (d side^2, c)
        ctx.save_for_backward(pixels, kernel)
        ctx.sizes = h, w, kernel_size
        contributions = (kernel @ pixels.transpose(1, 2)).view(b, d, -1, h, w)
        canvas = contributions.new_zeros(
            (b, d, h + kernel_size - 1, w + kernel_size - 1), dtype=accumulation_dtype(x)
        )
        for k, view in enumerate(shifted_views(canvas, kernel_size)):
            view += contributions[:, :, k]
        margin = kernel_size // 2
        return canvas[:, :, margin : margin + h, margin : margin + w].to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        (pixels, kernel), (h, w, kernel_size) = ctx.saved_tensors, ctx.sizes
        canvas = F.pad(gradient, [kernel_size // 2] * 4)
        contributions = (
            torch.stack(shifted_views(canvas, kernel_size), 2).flatten(1, 2).flatten(2)
        )  # as in `forward`
        grad_x = (contributions.transpose(1, 2) @ kernel).unflatten(1, (h, w)).permute(0, 3, 1, 2)
        grad_weight = (
            (contributions @ pixels).sum(0, dtype=accumulation_dtype(kernel)).to(kernel.dtype)
        )
        return grad_x, grad_weight.view(-1, kernel_size, kernel_size, kernel.shape[1]).permute(
            0, 3, 1, 2
        )


class ToImage(nn.Conv2d):
    """nn.Conv2d of an odd kernel that keeps height and width.

    In bfloat16 on a CPU the library takes twice as long for it (oneDNN, PyTorch 2.13: NOTES).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # pyright: ignore
        cpu_autocast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (cpu_autocast and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return super().forward(x)
        y = ScatterConv2d.apply(x.bfloat16(), self.weight.bfloat16())
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]  # pyright: ignore
