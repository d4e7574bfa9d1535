"""scikit-learn's handwritten digits; Alpaydin & Kaynak 1998, UCI repository, its test half."""

from typing import Any

import numpy as np

from latentia.data.decode import Preprocessing, resize_planes


def digits(
    n: int = 1797, size: int = 32
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str]]]:
    """The first n of 1,797 digits of 8x8 pixels, 0 to 16, enlarged (bicubic, clipped)."""
    from sklearn.datasets import load_digits

    dataset: Any = load_digits()
    preprocessing = Preprocessing(size, size, 1, None, 1.0)
    small_images = (dataset.images[:n] / 16).astype(np.float32)
    large_images = np.stack([resize_planes(image[None], preprocessing) for image in small_images])
    label = dataset.target[:n].astype(np.int64)
    class_names = [str(name) for name in dataset.target_names]
    return np.rint(large_images * 255).astype(np.uint8), {"label": label}, {"label": class_names}
