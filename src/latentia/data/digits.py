"""scikit-learn's handwritten digits; Alpaydin & Kaynak 1998, UCI repository, its test half."""

from typing import Any

import numpy as np

from latentia.data.decode import Preprocessing, resized
from latentia.data.made import Pictures


def digits(size: tuple[int, int] | None = None) -> Pictures:
    """1,797 digits of 8x8 pixels, 0 to 16, enlarged (bicubic, clipped) to 32x32 or `size`."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    height, width = size or (32, 32)
    prep = Preprocessing(height, width, 1, None, 1.0)
    small = (bunch.images / 16).astype(np.float32)
    large = np.stack([resized(image[None], prep) for image in small])
    label = bunch.target.astype(np.int64)
    names = [str(name) for name in bunch.target_names]
    return Pictures(np.rint(large * 255).astype(np.uint8), {"label": label}, {"label": names})
