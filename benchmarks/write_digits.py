"""Write scikit-learn's handwritten digits as PNG files of 32x32, in a folder for each class.

python benchmarks/write_digits.py FOLDER

The digits were black and white bitmaps of 32x32, of which the data set holds the number of white
pixels in each block of 4x4 (Alpaydin & Kaynak 1998). Bicubic interpolation of these numbers alone
is blurred, so a logistic curve, applied at four times the resolution, makes the edges sharp again.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE, FINE = 32, 128  # pixels of a side: of a file, and where the curve is applied
THRESHOLD, STEEPNESS = 0.42, 10.0  # of the logistic curve, in fractions of white


def restore_bitmap(counts: np.ndarray) -> np.ndarray:
    """Return the image (32, 32), uint8, of the numbers of white pixels (8, 8)."""
    share = Image.fromarray((counts / 16).astype(np.float32))
    smooth = np.asarray(share.resize((FINE, FINE), Image.Resampling.BICUBIC))
    sharp = 1 / (1 + np.exp(STEEPNESS * (THRESHOLD - smooth)))
    step = FINE // SIDE
    blocks = sharp.reshape(SIDE, step, SIDE, step)
    return np.rint(255 * blocks.mean((1, 3))).astype(np.uint8)


def main(folder: Path) -> None:
    data: Any = load_digits()
    for k, (counts, label) in enumerate(zip(data.images, data.target, strict=True)):
        file = folder / str(label) / f"{k:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(restore_bitmap(counts)).save(file)
    print(f"{len(data.images):,} digits in {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
