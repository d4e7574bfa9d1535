"""Images: what `--data` means, read once, split by seed, indexed by whole batches."""

from latentia.data.images import Images, open_images
from latentia.data.sources import Source
from latentia.data.split import Split

__all__ = ["Images", "Source", "Split", "open_images"]
