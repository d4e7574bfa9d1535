"""Pixels streamed from shards: fetched and decoded when needed, never stored.

An epoch's order goes through shuffled windows of shards, and through the shuffled images of each
window. Every shard is fetched once an epoch, the next window while the current one is trained on.
The order depends on the seed and the epoch only, so a resumed run continues exactly.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import copy
from functools import partial
from itertools import chain
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from latentia.core.errors import Error, convert_errors
from latentia.data.decode import DecodeError, Preprocessing, array_to_unit_range
from latentia.data.read_files import read_images

PixelTensor = UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]
WINDOW_IMAGES, WINDOW_BYTES = 8192, 2**28  # images or encoded bytes that fill a window
MIN_SHARDS_TO_SPLIT = 12  # whole shards are held out of at least so many, else single images
MAX_WAITING_SHARDS = 2  # queued shards of the next window: a process that ends waits for them


class Shard(NamedTuple):
    """One shard: its name in messages, its size, and the function that fetches its images."""

    name: str
    row_count: int
    byte_size: int
    fetch_images: Callable[[], list[bytes]]


class StreamedPixels:
    """Pixels indexed by row like an array: `shape`, `dtype`, `device`, slices and row tensors.

    Holds the encoded images of at most two windows and one further shard.
    """

    def __init__(
        self, shards: list[Shard], preprocessing: Preprocessing, dtype: np.dtype, workers: int
    ):
        self.shards, self.preprocessing, self.workers = shards, preprocessing, workers
        self.row_ends = np.cumsum([shard.row_count for shard in shards])
        self.shape = torch.Size((int(self.row_ends[-1]), *preprocessing.shape))
        self.array_dtype, self.device = dtype, torch.device("cpu")
        self.dtype = torch.uint8 if dtype == np.uint8 else torch.float32
        self.windows: list[list[int]] = []  # of the latest epoch order
        self.window_by_shard: dict[int, int] = {}
        self.futures: dict[int, Future[list[bytes]]] = {}
        self.executor, self.lock = ThreadPoolExecutor(1, "shards"), Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def to(self, device: torch.device | str) -> "StreamedPixels":
        """Return the same pixels, with batches on another device."""
        pixels = copy(self)
        pixels.device, pixels.futures, pixels.lock = torch.device(device), {}, Lock()
        return pixels

    def find_shard_numbers(self, rows: Int64[Tensor, " n"]) -> np.ndarray:
        return np.searchsorted(self.row_ends, rows.numpy(), side="right")

    def __getitem__(self, rows: Tensor | slice) -> PixelTensor:
        rows = torch.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu()
        pixels = np.empty((len(rows), *self.shape[1:]), self.array_dtype)
        numbers = self.find_shard_numbers(rows)
        # by window: a batch that spans two finishes the first before it frees its shards
        order = sorted(np.unique(numbers).tolist(), key=lambda s: self.window_by_shard.get(s, -1))
        with ThreadPoolExecutor(self.workers) as pool:
            map_rows = map if self.workers == 1 else pool.map
            for shard in order:
                positions = np.flatnonzero(numbers == shard)
                start = int(self.row_ends[shard]) - self.shards[shard].row_count
                decode = partial(self.decode_image, shard, self.get_encoded_images(shard))
                images = map_rows(decode, (rows[positions] - start).tolist())
                for position, image in zip(positions, images, strict=True):
                    pixels[position] = image
        return torch.from_numpy(pixels).to(self.device)

    def decode_image(self, shard: int, files: list[bytes], row: int) -> np.ndarray:
        try:
            image = next(read_images(files[row], self.preprocessing))
        except DecodeError as error:
            title = f"Image {row} of {self.shards[shard].name}"
            raise Error(f"{title} is unreadable ({error}); repair the shard.") from error
        if self.dtype == torch.float32:
            return array_to_unit_range(image)
        return image if image.dtype == np.uint8 else (image * 255).round()

    def get_encoded_images(self, shard: int) -> list[bytes]:
        """Return the encoded images of a shard, and fetch those of the next window meanwhile."""
        window = self.window_by_shard.get(shard)
        current = [shard] if window is None else self.windows[window]
        following = [] if window is None else list(chain(*self.windows[window + 1 : window + 2]))
        keep = {*current, *following, *(self.window_by_shard if window is None else ())}
        name, row_count = self.shards[shard][:2]
        with self.lock:  # the explorer's threads share one object
            for old in self.futures.keys() - keep:
                self.futures.pop(old).cancel()
            for number in (*current, *following):
                waiting = sum(not future.done() for future in self.futures.values())
                is_full = number in following and waiting >= MAX_WAITING_SHARDS
                if number not in self.futures and not is_full:
                    self.futures[number] = self.executor.submit(self.shards[number].fetch_images)
            try:
                with catch_read_errors(name):
                    images = self.futures[shard].result()
                if len(images) == row_count:
                    return images
                raise Error(f"{name} holds {len(images)} images, and held {row_count}; restore it.")
            except Error:
                del self.futures[shard]  # so that the next call tries again
                raise

    def draw_order(self, rows: Int64[Tensor, " n"], rng: torch.Generator) -> Int64[Tensor, " n"]:
        """Draw an epoch's permutation of range(n), window by window, for n rows of the pixels."""
        numbers = torch.from_numpy(self.find_shard_numbers(rows))
        counts = numbers.bincount(minlength=len(self.shards))
        by_shard = numbers.argsort(stable=True).split(counts.tolist())
        self.windows, images, size = [], WINDOW_IMAGES, 0
        for shard in torch.randperm(len(self.shards), generator=rng).tolist():
            if not counts[shard]:
                continue
            if images >= WINDOW_IMAGES or size >= WINDOW_BYTES:
                self.windows.append([])
                images = size = 0
            self.windows[-1].append(shard)
            images, size = images + int(counts[shard]), size + self.shards[shard].byte_size
        self.window_by_shard = {s: k for k, window in enumerate(self.windows) for s in window}
        by_window = [torch.cat([by_shard[shard] for shard in window]) for window in self.windows]
        return torch.cat([w[torch.randperm(len(w), generator=rng)] for w in by_window])


def catch_read_errors(name: str) -> AbstractContextManager[None]:
    """Convert every exception of a network, a disk or a format to an Error about `name`."""
    return convert_errors(
        lambda reason: (
            f"{name} cannot be read ({reason}); restore it, or leave it out."
            " `latentia resume` continues a run that was stopped by this."
        )
    )
