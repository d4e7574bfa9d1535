"""Images: what `--data` means, read once, split by seed, indexed by whole batches."""

from latentia.data.dataset import Images, open_images
from latentia.data.sources.registry import Source
from latentia.data.splits import Split

__all__ = ["Images", "Source", "Split", "open_images"]
