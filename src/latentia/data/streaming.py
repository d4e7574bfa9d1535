"""Pixels that are fetched shard by shard and decoded when they are asked for; none is kept.

An epoch's order goes through windows of shards, shuffled, and within each through its images,
shuffled: every shard is fetched once an epoch, the next window while this one is trained on. The
order is of the seed and the epoch alone, so a resume goes on exactly.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from functools import partial
from itertools import chain
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from latentia.core.errors import Error, summarize_exception
from latentia.data.decode import DecodeError, Preprocessing, read_images

T = TypeVar("T")
WINDOW_IMAGES, WINDOW_BYTES = (
    8192,
    2**28,
)  # a window is full with so many images, or with so many encoded bytes
MIN_SHARDS_TO_SPLIT = 12  # shards, of which whole ones are held out; of fewer, images
MAX_WAITING_SHARDS = (
    2  # shards of the next window that wait at a time: a process that ends waits for them
)


class Shard(NamedTuple):
    """name: for messages; fetch: its encoded images, `rows` of them; size: in bytes."""

    name: str
    row_count: int
    byte_size: int
    fetch_images: Callable[[], list[bytes]]


class StreamedPixels:
    """By row as an array's: `shape`, `dtype`, `device` and an index, a slice or a tensor of rows.

    Holds the encoded images of two windows at most, or of those and one shard beside them.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        preprocessing: Preprocessing,
        high_bit_depth: bool,
        workers: int,
    ):
        self.shards, self.preprocessing, self.workers = list(shards), preprocessing, workers
        self.row_ends = np.cumsum([shard.row_count for shard in shards])
        self.shape = torch.Size((int(self.row_ends[-1]), *preprocessing.shape))
        self.dtype = torch.float32 if high_bit_depth else torch.uint8
        self.device = torch.device("cpu")
        self.windows: list[list[int]] = []  # of the epoch that was ordered last
        self.window_by_shard: dict[int, int] = {}
        self.futures: dict[int, Future[list[bytes]]] = {}
        self.executor, self.lock = ThreadPoolExecutor(1, "shards"), Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def to(self, device: torch.device | str) -> "StreamedPixels":
        """The same pixels, handed out on another device."""
        pixels = copy(self)
        pixels.device, pixels.futures, pixels.lock = torch.device(device), {}, Lock()
        return pixels

    def find_shard_numbers(self, rows: Int64[Tensor, " n"]) -> np.ndarray:
        return np.searchsorted(self.row_ends, rows.numpy(), side="right")

    def __getitem__(
        self, rows: Tensor | slice
    ) -> UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]:
        row_numbers = torch.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu()
        pixels = np.empty(
            (len(row_numbers), *self.shape[1:]), np.uint8 if self.dtype == torch.uint8 else "f4"
        )
        shard_numbers = self.find_shard_numbers(row_numbers)
        with ThreadPoolExecutor(self.workers) as pool:
            map_images = map if self.workers == 1 else pool.map
            # by window: a batch that spans two has done with the first before the second goes on
            for shard in sorted(
                np.unique(shard_numbers).tolist(), key=lambda s: self.window_by_shard.get(s, -1)
            ):
                positions = np.flatnonzero(shard_numbers == shard)
                first_row = int(self.row_ends[shard]) - self.shards[shard].rows
                decode_row = partial(
                    self.decode_image, self.get_encoded_images(shard), self.shards[shard].name
                )
                for position, image in zip(
                    positions,
                    map_images(decode_row, (row_numbers[positions] - first_row).tolist()),
                    strict=True,
                ):
                    pixels[position] = image
        return torch.from_numpy(pixels).to(self.device)

    def decode_image(self, encoded_images: list[bytes], name: str, row: int) -> np.ndarray:
        try:
            image = next(read_images(encoded_images[row], self.preprocessing))
        except DecodeError as error:
            raise Error(
                f"Image {row} of {name} is unreadable ({error}); mend the shard, or leave it out."
            ) from error
        if self.dtype == torch.float32 and image.dtype == np.uint8:
            return image / np.float32(255)
        if self.dtype == torch.uint8 and image.dtype != np.uint8:
            return (image * 255).round()
        return image

    def get_encoded_images(self, shard: int) -> list[bytes]:
        """The encoded images of a shard; those of the next window are fetched meanwhile."""
        window_number = self.window_by_shard.get(shard)
        current_shards = [shard] if window_number is None else self.windows[window_number]
        next_shards = (
            []
            if window_number is None
            else list(chain(*self.windows[window_number + 1 : window_number + 2]))
        )
        needed_shards = {
            *current_shards,
            *next_shards,
            *(self.window_by_shard if window_number is None else ()),
        }
        with self.lock:  # an explorer's threads share one
            for unneeded_shard in self.futures.keys() - needed_shards:
                self.futures.pop(unneeded_shard).cancel()
            for needed_shard in (*current_shards, *next_shards):
                waiting_count = sum(not future.done() for future in self.futures.values())
                if needed_shard not in self.futures and (
                    needed_shard in current_shards or waiting_count < MAX_WAITING_SHARDS
                ):
                    self.futures[needed_shard] = self.executor.submit(
                        self.shards[needed_shard].fetch_images
                    )
            try:
                encoded_images = fetch(self.shards[shard].name, self.futures[shard].result)
                if len(encoded_images) == self.shards[shard].row_count:
                    return encoded_images
                raise Error(
                    f"{self.shards[shard].name} holds {len(encoded_images)} images now, and held"
                    f" {self.shards[shard].row_count} when it was indexed; bring back what it was."
                )
            except Error:
                del self.futures[shard]  # so that it is tried again
                raise

    def draw_order(self, rows: Int64[Tensor, " n"], rng: torch.Generator) -> Int64[Tensor, " n"]:
        """An epoch's permutation of range(n), window by window; `rows` are those of n images."""
        shard_numbers = torch.from_numpy(self.find_shard_numbers(rows))
        counts = shard_numbers.bincount(minlength=len(self.shards))
        rows_by_shard = shard_numbers.argsort(stable=True).split(counts.tolist())
        self.windows, image_count, byte_count = [], WINDOW_IMAGES, 0
        for shard in torch.randperm(len(self.shards), generator=rng).tolist():
            if not counts[shard]:
                continue
            if image_count >= WINDOW_IMAGES or byte_count >= WINDOW_BYTES:
                self.windows.append([])
                image_count = byte_count = 0
            self.windows[-1].append(shard)
            image_count, byte_count = (
                image_count + int(counts[shard]),
                byte_count + self.shards[shard].size,
            )
        self.window_by_shard = {
            s: window_number for window_number, window in enumerate(self.windows) for s in window
        }
        rows_by_window = [
            torch.cat([rows_by_shard[shard] for shard in window]) for window in self.windows
        ]
        return torch.cat(
            [
                window_rows[torch.randperm(len(window_rows), generator=rng)]
                for window_rows in rows_by_window
            ]
        )


def fetch(name: str, load: Callable[[], T]) -> T:
    """What `fetch` returns. Raises: Error if what is called `name` cannot be read."""
    try:
        return load()
    except Error:
        raise
    except Exception as error:  # of a network, a disk or a format: each has its own
        message = summarize_exception(error)
        raise Error(
            f"{name} cannot be read ({message}); bring it back, or leave it out. A run that it stopped"
            " goes on with `latentia resume`."
        ) from error
