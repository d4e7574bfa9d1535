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

from latentia.core.errors import Error, first_line
from latentia.data.decode import Preprocessing, Unreadable, read

T = TypeVar("T")
IMAGES, BYTES = 8192, 2**28  # a window is full with so many images, or with so many encoded bytes
ENOUGH = 12  # shards, of which whole ones are held out; of fewer, images
AHEAD = 2  # shards of the next window that wait at a time: a process that ends waits for them


class Shard(NamedTuple):
    """name: for messages; fetch: its encoded images, `rows` of them; size: in bytes."""

    name: str
    rows: int
    size: int
    fetch: Callable[[], list[bytes]]


class Streamed:
    """By row as an array's: `shape`, `dtype`, `device` and an index, a slice or a tensor of rows.

    Holds the encoded images of two windows at most, or of those and one shard beside them.
    """

    def __init__(self, shards: Sequence[Shard], prep: Preprocessing, deep: bool, workers: int):
        self.shards, self.prep, self.workers = list(shards), prep, workers
        self.ends = np.cumsum([shard.rows for shard in shards])
        self.shape = torch.Size((int(self.ends[-1]), *prep.shape))
        self.dtype = torch.float32 if deep else torch.uint8
        self.device = torch.device("cpu")
        self.windows: list[list[int]] = []  # of the epoch that was ordered last
        self.window_of: dict[int, int] = {}
        self.held: dict[int, Future[list[bytes]]] = {}
        self.fetcher, self.lock = ThreadPoolExecutor(1, "shards"), Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def to(self, device: torch.device | str) -> "Streamed":
        """The same pixels, handed out on another device."""
        moved = copy(self)
        moved.device, moved.held, moved.lock = torch.device(device), {}, Lock()
        return moved

    def shard_of(self, rows: Int64[Tensor, " n"]) -> np.ndarray:
        return np.searchsorted(self.ends, rows.numpy(), side="right")

    def __getitem__(
        self, rows: Tensor | slice
    ) -> UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]:
        at = torch.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu()
        out = np.empty((len(at), *self.shape[1:]), np.uint8 if self.dtype == torch.uint8 else "f4")
        which = self.shard_of(at)
        with ThreadPoolExecutor(self.workers) as pool:
            run = map if self.workers == 1 else pool.map
            # by window: a batch that spans two has done with the first before the second goes on
            for shard in sorted(np.unique(which).tolist(), key=lambda s: self.window_of.get(s, -1)):
                mine = np.flatnonzero(which == shard)
                begin = int(self.ends[shard]) - self.shards[shard].rows
                decode = partial(self.decoded, self.files(shard), self.shards[shard].name)
                for to, image in zip(mine, run(decode, (at[mine] - begin).tolist()), strict=True):
                    out[to] = image
        return torch.from_numpy(out).to(self.device)

    def decoded(self, files: list[bytes], name: str, row: int) -> np.ndarray:
        try:
            image = next(read(files[row], self.prep))
        except Unreadable as why:
            raise Error(
                f"Image {row} of {name} is unreadable ({why}); mend the shard, or leave it out."
            ) from why
        if self.dtype == torch.float32 and image.dtype == np.uint8:
            return image / np.float32(255)
        if self.dtype == torch.uint8 and image.dtype != np.uint8:
            return (image * 255).round()
        return image

    def files(self, shard: int) -> list[bytes]:
        """The encoded images of a shard; those of the next window are fetched meanwhile."""
        at = self.window_of.get(shard)
        now = [shard] if at is None else self.windows[at]
        after = [] if at is None else list(chain(*self.windows[at + 1 : at + 2]))
        kept = {*now, *after, *(self.window_of if at is None else ())}
        with self.lock:  # an explorer's threads share one
            for old in self.held.keys() - kept:
                self.held.pop(old).cancel()
            for each in (*now, *after):
                waiting = sum(not future.done() for future in self.held.values())
                if each not in self.held and (each in now or waiting < AHEAD):
                    self.held[each] = self.fetcher.submit(self.shards[each].fetch)
            try:
                found = brought(self.shards[shard].name, self.held[shard].result)
                if len(found) == self.shards[shard].rows:
                    return found
                raise Error(
                    f"{self.shards[shard].name} holds {len(found)} images now, and held"
                    f" {self.shards[shard].rows} when it was indexed; bring back what it was."
                )
            except Error:
                del self.held[shard]  # so that it is tried again
                raise

    def order(self, rows: Int64[Tensor, " n"], draw: torch.Generator) -> Int64[Tensor, " n"]:
        """An epoch's permutation of range(n), window by window; `rows` are those of n images."""
        which = torch.from_numpy(self.shard_of(rows))
        counts = which.bincount(minlength=len(self.shards))
        members = which.argsort(stable=True).split(counts.tolist())
        self.windows, images, size = [], IMAGES, 0
        for shard in torch.randperm(len(self.shards), generator=draw).tolist():
            if not counts[shard]:
                continue
            if images >= IMAGES or size >= BYTES:
                self.windows.append([])
                images = size = 0
            self.windows[-1].append(shard)
            images, size = images + int(counts[shard]), size + self.shards[shard].size
        self.window_of = {s: at for at, window in enumerate(self.windows) for s in window}
        mixed = [torch.cat([members[shard] for shard in window]) for window in self.windows]
        return torch.cat([each[torch.randperm(len(each), generator=draw)] for each in mixed])


def brought(name: str, fetch: Callable[[], T]) -> T:
    """What `fetch` returns. Raises: Error if what is called `name` cannot be read."""
    try:
        return fetch()
    except Error:
        raise
    except Exception as why:  # of a network, a disk or a format: each has its own
        said = first_line(why)
        raise Error(
            f"{name} cannot be read ({said}); bring it back, or leave it out. A run that it stopped"
            " goes on with `latentia resume`."
        ) from why
