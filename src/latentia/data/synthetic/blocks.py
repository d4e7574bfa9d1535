"""Blocks of synthetic images, each with its own generator, cut at n.

Image k is therefore the same for every n, to the bit: no matrix product or vector loop sees n.
"""

from collections.abc import Iterator

import numpy as np

from latentia.core.errors import Error
from latentia.core.seeding import BLOCK_ROWS, derive_seed
from latentia.data.reader import Classes, Columns

# pixels (n, c, h, w) uint8, columns of factors or images, class names of columns
SyntheticImages = tuple[np.ndarray, Columns, Classes]


def iterate_blocks(n: int, seed: int, purpose: str) -> Iterator[tuple[slice, np.random.Generator]]:
    """Yield the rows below n of each block, and the generator that draws all BLOCK_ROWS of it."""
    if n < 1:
        raise Error(f"{n} images of {purpose} were requested; give n of at least 1.")
    for block in range(-(-n // BLOCK_ROWS)):
        rows = slice(block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS))
        yield rows, np.random.default_rng(derive_seed(seed, purpose, block))
