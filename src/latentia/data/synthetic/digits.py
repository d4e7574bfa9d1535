"""Real handwritten digits, from scikit-learn; Alpaydin & Kaynak 1998, UCI repository, test half."""

from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.data.aspect import resize_planes
from latentia.data.synthetic.blocks import SyntheticImages


def make_digits(n: int = 1797, size: int = 32) -> SyntheticImages:
    """Return the first n of 1,797 digits, 8x8 pixels of 0 to 16, enlarged (bicubic, clipped).

    Parameters
    ----------
    n : int
        number of images
    size : int
        pixels of a side

    Returns
    -------
    tuple
        images (n, 1, size, size) uint8, columns of labels by name, and class names by column

    Raises
    ------
    Error
        if n is out of range

    Examples
    --------
    >>> import latentia
    >>> images, columns, classes = latentia.make_digits(3, size=32)
    >>> images.shape
    (3, 1, 32, 32)
    """
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    if not 0 < n <= len(data.images):
        raise Error(f"{n:,} digits were requested; give 1 to {len(data.images):,}.")
    small = (data.images[:n] / 16).astype(np.float32)
    large = resize_planes(small, (size, size), "stretch")[:, None]
    labels, names = data.target[:n].astype(np.int64), [str(name) for name in data.target_names]
    return np.rint(large * 255).astype(np.uint8), {"label": labels}, {"label": names}
