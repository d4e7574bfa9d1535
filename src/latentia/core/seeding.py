"""Randomness has an address: (seed, purpose, step). Any number can be drawn again from it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Moment

BLOCK = 64  # rows that one generator draws; smaller blocks cost more seedings, larger ones waste


def address(seed: int, purpose: str, step: int = 0) -> int:
    """A generator's seed for this purpose at this step; distinct addresses are independent."""
    text = f"{seed}/{purpose}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")


def generator(
    seed: int, purpose: str, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    return torch.Generator(device).manual_seed(address(seed, purpose, step))


def seed_global(seed: int, purpose: str, step: int = 0) -> None:
    """Seed the generators that dropout and initialisation read.

    Not `torch.manual_seed`: it costs 170 us a call, this one 3.
    """
    torch.default_generator.manual_seed(address(seed, purpose, step))
    if torch.cuda.is_available():
        torch.cuda.manual_seed(address(seed, purpose, step))


@contextmanager
def keep_generators() -> Iterator[None]:
    """Afterwards the generators that `seed_global` seeds go on from where they were before."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield


def noise(moment: Moment, purpose: str, shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal noise for this step's rows of the global batch, (rows of `like`, *shape).

    It is drawn for the global batch and cut, so that a row's noise does not depend on how many
    processes share the work.
    """
    return _rows(torch.randn, moment, purpose, shape, like)


def uniform(
    moment: Moment, purpose: str, like: Tensor, shape: Sequence[int] = ()
) -> Float[Tensor, "b *shape"]:
    """Numbers in [0, 1), one for each row unless a shape is given, as `noise` draws."""
    return _rows(torch.rand, moment, purpose, shape, like)


def places(moment: Moment, purpose: str, like: Tensor) -> Float[Tensor, " b"]:
    """The rows of the global batch in a random order: the place in it of each row of `like`."""
    return _rows(torch.randperm, moment, purpose, (), like)


def _rows(
    law: Callable[..., Tensor], moment: Moment, purpose: str, shape: Sequence[int], like: Tensor
) -> Tensor:
    draw = generator(moment.seed, purpose, moment.step, like.device)
    rows = max(moment.global_batch, like.shape[0])
    everything = law(rows, *shape, generator=draw, device=like.device, dtype=like.dtype)
    return everything[moment.first_row : moment.first_row + like.shape[0]]


def normal_rows(
    n: int, shape: Sequence[int], *, seed: int, purpose: str
) -> Float[Tensor, "n *shape"]:
    """n standard normal rows; row k is the same for every n.

    Hence blocks: `randn(5, d)` is not the beginning of `randn(10, d)`. Always drawn on the CPU in
    float32, so that a seed means the same picture on every device.
    """
    blocks = [
        torch.randn(BLOCK, *shape, generator=generator(seed, purpose, block))
        for block in range((n + BLOCK - 1) // BLOCK)
    ]
    return torch.cat(blocks)[:n] if blocks else torch.empty(0, *shape)
