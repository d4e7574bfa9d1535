"""Features of images on disk, so that a network computes those of an image once."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.files import cache_root
from latentia.core.tensors import ImageTensor


class FeatureStore:
    """Features by the digest of the image, in `$LATENTIA_CACHE/features/<network>.sqlite`.

    Features are rounded to 16-bit floats. Where the file cannot be read or written, the store is
    empty and keeps nothing.

    Parameters
    ----------
    digest : str
        digest of the network's weights, which names the file: no other network's are read
    """

    def __init__(self, digest: str):
        self.path = cache_root() / "features" / f"{digest}.sqlite"

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Float[Tensor, " d"]]:
        """Return the stored features of those images that have some."""
        stored = {}
        with suppress(sqlite3.Error, OSError), closing(self._connect()) as connection:
            for key in keys:
                row = connection.execute("SELECT value FROM features WHERE key = ?", (key,))
                if value := row.fetchone():
                    numbers = np.frombuffer(value[0], np.float16).astype(np.float32)
                    stored[key] = torch.from_numpy(numbers)
        return stored

    def save(self, keys: Sequence[bytes], features: Float[Tensor, "b d"]) -> None:
        """Store features; those that are stored already stay."""
        rows = zip(keys, (row.tobytes() for row in features.half().numpy()), strict=True)
        with suppress(sqlite3.Error, OSError), closing(self._connect()) as connection, connection:
            connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=30)
        connection.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB)")
        return connection


def hash_weights(network: nn.Module) -> str:
    """Return the digest of a network's weights."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        unsigned = tensor + 0.0  # an average of weights turns -0 into 0
        digest.update(unsigned.contiguous().cpu().numpy())
    return digest.hexdigest()[:24]


def make_keys(images: ImageTensor) -> list[bytes]:
    """Return the digest of each image's shape and pixels."""
    shape = str(tuple(images.shape[1:])).encode()
    rows = images.float().contiguous().cpu().numpy()
    return [hashlib.blake2b(shape + row.tobytes(), digest_size=16).digest() for row in rows]
