"""The last convolution of decoders and generators: many channels to one or three."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def shifted_views(canvas: Float[Tensor, "b d ph pw"], side: int) -> list[Float[Tensor, "b d h w"]]:
    """Views of a padded map, one for each position of a square kernel, in the kernel's order."""
    h, w = (length - side + 1 for length in canvas.shape[2:])
    offsets = [(i, j) for i in reversed(range(side)) for j in reversed(range(side))]
    return [canvas[:, :, i : i + h, j : j + w] for i, j in offsets]


def accumulation_dtype(tensor: Tensor) -> torch.dtype:
    """The type in which sums of such numbers are accumulated."""
    return torch.promote_types(tensor.dtype, torch.float32)


class ScatterConv2d(torch.autograd.Function):
    """conv2d without bias that keeps height and width, as a matrix product and shifted sums.

    Each pixel adds its contributions to its neighbours. The sums are those of PyTorch's conv2d in
    another order.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore
        (b, _, h, w), (d, _, side, _) = x.shape, weight.shape
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h w, c), a view if channels are last
        kernel = weight.permute(0, 2, 3, 1).flatten(0, 2)  # (d side^2, c)
        ctx.save_for_backward(pixels, kernel)
        ctx.sizes = h, w, side
        products = (kernel @ pixels.transpose(1, 2)).view(b, d, -1, h, w)
        padded_shape = b, d, h + side - 1, w + side - 1
        canvas = products.new_zeros(padded_shape, dtype=accumulation_dtype(x))
        for k, view in enumerate(shifted_views(canvas, side)):
            view += products[:, :, k]
        margin = side // 2
        return canvas[:, :, margin : margin + h, margin : margin + w].to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        (pixels, kernel), (h, w, side) = ctx.saved_tensors, ctx.sizes
        views = shifted_views(F.pad(gradient, [side // 2] * 4), side)
        products = torch.stack(views, 2).flatten(1, 2).flatten(2)  # (b, d side^2, h w)
        grad_x = (products.transpose(1, 2) @ kernel).unflatten(1, (h, w)).permute(0, 3, 1, 2)
        grad_kernel = (products @ pixels).sum(0, dtype=accumulation_dtype(kernel)).to(kernel.dtype)
        grad_weight = grad_kernel.view(-1, side, side, kernel.shape[1]).permute(0, 3, 1, 2)
        return grad_x, grad_weight


class ToImage(nn.Conv2d):
    """nn.Conv2d of an odd kernel that keeps height and width.

    In bfloat16 on a CPU PyTorch's convolution takes twice as long as ours (oneDNN, PyTorch 2.13).
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int = 3):
        super().__init__(c_in, c_out, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:  # pyright: ignore
        cpu_autocast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (cpu_autocast and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return super().forward(x)
        y = ScatterConv2d.apply(x.bfloat16(), self.weight.bfloat16())
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]  # pyright: ignore
