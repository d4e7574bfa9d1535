"""Open a source of images."""

from typing import Any

from latentia.core.errors import Error
from latentia.data.dataset import Images
from latentia.data.reader import LoadOptions, parse_size
from latentia.data.sources.registry import Source


def open_images(
    data: Any,
    size: int | str | tuple[int, int] | list[int] | None = None,
    channels: int | None = None,
) -> Images:
    """Open a source of images without reading it.

    Parameters
    ----------
    data : str, Path, array, tensor, Source or Images
        source as on the command line, or images (n, h, w), (n, c, h, w) or (n, h, w, c).
        Open images are returned unchanged, so that a recipe can be built without its data
    size : int, str or (int, int), optional
        height and width, such as 64 or "64x48"; None keeps those of the images
    channels : int, optional
        number of channels; None keeps that of the images

    Returns
    -------
    Images
        the images with their splits, read when they are needed

    Raises
    ------
    Error
        if there is no such source, or size or channels are not possible

    Examples
    --------
    >>> import latentia
    >>> latentia.open_images("digits:200", size=8, channels=1).split("train")
    Split(train: 165 images 1x8x8; label)
    """
    if isinstance(data, Images):
        return data
    source = data if isinstance(data, Source) else Source(data)
    if channels is not None and channels < 1:
        raise Error(f"channels is {channels}; it must be at least 1: 1 for grey, 3 for colour.")
    return Images(source, LoadOptions(parse_size(size), channels, source.reading))
