"""Image data sets: open a source, split it by seed, read batches in [0, 1]."""

from latentia.data.dataset import Images
from latentia.data.opening import open_images
from latentia.data.sources.registry import Source
from latentia.data.splits import Split

__all__ = ["Images", "Source", "Split", "open_images"]
