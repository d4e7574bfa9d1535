"""Randomness has an address: (seed, purpose, step). Any number can be drawn again from it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import StepContext

BLOCK_ROWS = (
    64  # rows that one generator draws; smaller blocks cost more seedings, larger ones waste
)


def derive_seed(seed: int, purpose: str, step: int = 0) -> int:
    """A generator's seed for this purpose at this step; distinct addresses are independent."""
    key = f"{seed}/{purpose}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=7).digest(), "little")


def make_generator(
    seed: int, purpose: str, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, step))


def seed_global_generators(seed: int, purpose: str, step: int = 0) -> None:
    """Seed the generators that dropout and initialisation read.

    Not `torch.manual_seed`: it costs 170 us a call, this one 3.
    """
    torch.default_generator.manual_seed(derive_seed(seed, purpose, step))
    if torch.cuda.is_available():
        torch.cuda.manual_seed(derive_seed(seed, purpose, step))


@contextmanager
def restore_global_generators() -> Iterator[None]:
    """Afterwards the caller's generators go on from where they were before."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield


def noise(context: StepContext, purpose: str, shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal noise for this step's rows of the global batch, (rows of `like`, *shape).

    It is drawn for the global batch and cut, so that a row's noise does not depend on how many
    processes share the work.
    """
    return _draw_rows(torch.randn, context, purpose, shape, like)


def uniform(
    context: StepContext, purpose: str, like: Tensor, shape: Sequence[int] = ()
) -> Float[Tensor, "b *shape"]:
    """Numbers in [0, 1), one for each row unless a shape is given, as `noise` draws."""
    return _draw_rows(torch.rand, context, purpose, shape, like)


def batch_permutation(context: StepContext, purpose: str, like: Tensor) -> Float[Tensor, " b"]:
    """The rows of the global batch in a random order: the place in it of each row of `like`."""
    return _draw_rows(torch.randperm, context, purpose, (), like)


def _draw_rows(
    distribution: Callable[..., Tensor],
    context: StepContext,
    purpose: str,
    shape: Sequence[int],
    like: Tensor,
) -> Tensor:
    rng = make_generator(context.seed, purpose, context.step, like.device)
    n_rows = max(context.global_batch_size, like.shape[0])
    global_rows = distribution(n_rows, *shape, generator=rng, device=like.device, dtype=like.dtype)
    return global_rows[context.first_row : context.first_row + like.shape[0]]


def sample_normal_rows(
    n: int, shape: Sequence[int], *, seed: int, purpose: str
) -> Float[Tensor, "n *shape"]:
    """n standard normal rows; row k is the same for every n.

    Hence blocks: `randn(5, d)` is not the beginning of `randn(10, d)`. Always drawn on the CPU in
    float32, so that a seed means the same picture on every device.
    """
    blocks = [
        torch.randn(BLOCK_ROWS, *shape, generator=make_generator(seed, purpose, block))
        for block in range((n + BLOCK_ROWS - 1) // BLOCK_ROWS)
    ]
    return torch.cat(blocks)[:n] if blocks else torch.empty(0, *shape)
