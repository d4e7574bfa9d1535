"""Fingerprints of images and columns: equal for equal content, wherever the files lie."""

import hashlib
from typing import Any

import numpy as np

from latentia.data.reader import Classes, Columns, SourceInfo
from latentia.data.streaming import StreamedPixels


def compute_fingerprint(pixels: np.ndarray | StreamedPixels, info: SourceInfo) -> str:
    """Hash pixels, keys, splits and columns.

    Streamed pixels are represented by the names, counts and sizes of their shards.
    """
    digest = hashlib.blake2b(digest_size=16)
    is_streamed = isinstance(pixels, StreamedPixels)
    pixel_format = [shard[:3] for shard in pixels.shards] if is_streamed else pixels.dtype.str
    digest.update(repr((tuple(pixels.shape), pixel_format, info.keys, info.split_counts)).encode())
    if isinstance(pixels, np.ndarray):
        for start in range(0, len(pixels), 1024):
            digest.update(np.ascontiguousarray(pixels[start : start + 1024]).data)
    return digest_columns(info.labels.columns, info.labels.classes, digest)


def digest_columns(columns: Columns, classes: Classes, digest: Any = None) -> str:
    """Hash names, classes and values of the columns, optionally on top of another digest."""
    digest = digest or hashlib.blake2b(digest_size=16)
    for name, values in sorted(columns.items()):
        digest.update(repr((name, classes[name])).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
