"""Images as Pillow's, and as small PNG files."""

import io

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from latentia.core.tensors import to_bytes, to_display_channels

THUMBNAIL_SIDE = 96  # pixels of a thumbnail's longer side, at most


def to_pillow(images: Float[Tensor, "n c h w"]) -> list[Image.Image]:
    """Convert images in [0, 1] to grey or colour."""
    pixels = to_bytes(to_display_channels(images)).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in pixels]


def encode_thumbnail(image: Image.Image) -> bytes:
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
