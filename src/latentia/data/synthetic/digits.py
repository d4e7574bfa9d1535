"""scikit-learn's handwritten digits; Alpaydin & Kaynak 1998, UCI repository, its test half."""

from typing import Any

import numpy as np

from latentia.data.decode import Preprocessing, resized


def digits(
    n: int = 1797, size: int = 32
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str]]]:
    """The first n of 1,797 digits of 8x8 pixels, 0 to 16, enlarged (bicubic, clipped)."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    prep = Preprocessing(size, size, 1, None, 1.0)
    small = (bunch.images[:n] / 16).astype(np.float32)
    large = np.stack([resized(image[None], prep) for image in small])
    label = bunch.target[:n].astype(np.int64)
    names = [str(name) for name in bunch.target_names]
    return np.rint(large * 255).astype(np.uint8), {"label": label}, {"label": names}
