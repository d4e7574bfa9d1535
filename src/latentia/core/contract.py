"""The contract between networks, losses, models and the engine.

A network knows shapes, a loss knows nats, a model knows which losses teach which networks; the
engine knows none of these and only asks a model for its `players()`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.gaussian import DiagonalGaussian


class StepContext(NamedTuple):
    """Where and when a step happens: all that schedules and noise may depend on."""

    step: int
    total_steps: int
    seed: int
    train_size: int
    first_row: int
    global_batch_size: int

    @property
    def progress(self) -> float:
        """The part of the run that is done, 0 at its first step."""
        return self.step / self.total_steps


class Batch(NamedTuple):
    """Images in [0, 1] and, row by row, what stands beside: labels (b,), patterns (b, c, h, w)."""

    image: Float[Tensor, "b c h w"]
    columns: dict[str, Tensor]


Shared = Any  # what `Model.shared` returns: the model's own business
# name -> (weight, value per image (b,), nats, float32); a weight may be one per image
Terms = dict[str, tuple[float | Tensor, Tensor]]


class Player(NamedTuple):
    """A set of parameters, and the loss that its own optimizer descends."""

    module: nn.Module
    terms: Callable[[Batch, StepContext, Shared], Terms]  # empty: it does not move at this step


class Model(nn.Module):
    """What the engine trains: players that descend in order, and a way to draw images.

    selection_metric: the score whose least value on validation images, if it has one, selects the
    weights that are kept; None: the last ones, or their average.
    """

    selection_metric: str | None = "nelbo"

    def players(self) -> dict[str, Player]:
        """The players in the order of their turns; the others are frozen meanwhile."""
        raise NotImplementedError

    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Once before the first step, and again at a resume: columns to put beside the images.

        batches: the training images in order; a column has one row for each.
        """
        return {}

    def metadata(self) -> dict[str, Any]:
        """What `prepare` found, for run.json."""
        return {}

    def shared(self, batch: Batch, context: StepContext) -> Shared:
        """What several terms need, computed once a step, before any player descends."""
        return None

    def observe(self, batch: Batch, context: StepContext) -> Float[Tensor, "b c h w"]:
        """What of a batch is encoded and judged: its images, or what is drawn from them."""
        return batch.image

    def sample(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None
    ) -> Float[Tensor, "n c h w"]:
        """n new images in [0, 1]; image k of a seed is the same for every n."""
        raise NotImplementedError

    def score(self, batch: Batch, context: StepContext) -> dict[str, Float[Tensor, " b"]]:
        """Held-out figures per image at beta 1."""
        return {}

    def monitors(self) -> dict[str, Tensor]:
        """Scalars of the last step worth a curve: norms, accuracies; read at logging steps only."""
        return {}


@runtime_checkable
class HasLatents(Protocol):
    """A model whose images have coordinates; tools appear by this, never by class name."""

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    def encode(self, images: Float[Tensor, "b c h w"]) -> DiagonalGaussian: ...

    def decode(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b c h w"]: ...

    def distortion(
        self, z: Float[Tensor, "b *latent"], images: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, " b"]: ...


@runtime_checkable
class HasGenerator(Protocol):
    """A model that draws images from noise in one pass."""

    noise_shape: tuple[int, ...]

    def generate(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b c h w"]: ...


@runtime_checkable
class HasTrajectory(Protocol):
    """A model that draws latents step by step, from noise, under options of its own."""

    autoencoder: Any  # it decodes them
    num_classes: int  # of the condition; 0: it is an image, or there is none

    @property
    def sampling(self) -> Any: ...

    @property
    def column(self) -> str | None: ...

    def sample_trajectory(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, sampling: Any = None
    ) -> Iterator[Float[Tensor, "n *latent"]]: ...
