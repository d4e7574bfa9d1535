"""The posterior q(z | image), which encoders return: a protocol and its further capabilities."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from latentia.core.errors import Error
from latentia.core.gaussian import LOG_2PI
from latentia.core.tensors import Latents, PerImage


@runtime_checkable
class Posterior(Protocol):
    """q(z | image) of b images: a NamedTuple of tensors, each with one row for an image.

    A posterior may also define `sd` and `kl_per_dim()`, both (b, *latent), and `log_prob(z)` and
    `log_ratio(z)`, both (b,) in nats. A posterior whose rate depends on the draw also defines
    `condition(z)`, the posterior with its rate at z; so does that of latents that depend on each
    other. `require_capability` returns one of these attributes.
    """

    @property
    def mean(self) -> Latents: ...

    def sample(self, noise: Latents) -> Latents:
        """Draw a sample, a differentiable function of standard normal noise."""
        ...

    def kl(self) -> PerImage:
        """KL(self || p(z)) in nats per image, or an estimate of it."""
        ...

    def __iter__(self) -> Iterator[Tensor]: ...


P = TypeVar("P", bound=Posterior)


def map_tensors(function: Callable[[Tensor], Tensor], posterior: P) -> P:
    """Apply a function to each tensor of a posterior, such as a selection of rows."""
    return type(posterior)(*map(function, posterior))


def draw_latents(posterior: Any, noise: Latents) -> tuple[Latents, Any]:
    """Draw latents; return them and the posterior whose KL is the rate at this draw."""
    z = posterior.sample(noise)
    return z, at_draw(posterior, z)


def at_draw(posterior: Any, z: Latents) -> Any:
    """Return the posterior whose KL is the rate at the draw z."""
    return posterior.condition(z) if hasattr(posterior, "condition") else posterior


def require_capability(posterior: Posterior, name: str, purpose: str) -> Any:
    """Return the posterior's attribute `name`. Raises: Error if it has none."""
    if not hasattr(posterior, name):
        raise Error(f"{purpose} needs {name}, which {type(posterior).__name__} lacks; define it.")
    return getattr(posterior, name)


def log_ratio(posterior: Posterior, z: Tensor, purpose: str) -> PerImage:
    """Log ratio of the posterior's density to that of its prior, or else N(0, I), at z, nats.

    Raises: Error if the posterior has no density
    """
    if hasattr(posterior, "log_ratio"):
        return posterior.log_ratio(z)  # pyright: ignore
    log_prob = require_capability(posterior, "log_prob", purpose)
    return log_prob(z) + 0.5 * (z.square() + LOG_2PI).flatten(1).sum(1)
