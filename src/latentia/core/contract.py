"""The contract between networks, losses, models and the training loop.

A network knows shapes. A loss knows nats. A model knows which losses teach which networks. The
training loop knows none of these: it asks a model for its `players()`.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from latentia.core.posterior import Posterior
from latentia.core.tensors import ImageTensor, Latents, PerImage


class StepContext(NamedTuple):
    """The state of the run at one step, on which schedules and noise depend.

    Parameters
    ----------
    step, total_steps, seed : int
        number of steps taken, of all steps of the run, and the run's seed
    train_size, first_row, global_batch_size : int
        training images, number of the batch's first row among all processes, images of a step
    recorder : StepGraph, optional
        notes what `read` returned in a step that a GPU is to replay; `step` is None then

    Examples
    --------
    >>> import latentia
    >>> latentia.StepContext(25, 100, 0, 60000, 0, 64).progress
    0.25
    """

    step: int
    total_steps: int
    seed: int
    train_size: int
    first_row: int
    global_batch_size: int
    recorder: Any = None

    def read(self, function: "Callable[[StepContext], Any]") -> Any:
        """Return a function of this step; as long as all return the same, a GPU replays it."""
        return self.recorder.read(function) if self.recorder else function(self)

    def number(self, function: "Callable[[StepContext], float]") -> float | Tensor:
        """Return a number for the loss, such as a weight; it may differ at each step."""
        return self.recorder.number(function) if self.recorder else function(self)

    @property
    def progress(self) -> float:
        """Fraction of the run that is completed, in [0, 1): 0 at the first step."""
        return self.step / self.total_steps


class Batch(NamedTuple):
    """Images in [0, 1] and their columns.

    Parameters
    ----------
    image : Tensor
        images (b, c, h, w)
    columns : dict of str to Tensor
        labels (b,) or patterns (b, c, h, w), by name

    Examples
    --------
    >>> import latentia, torch
    >>> latentia.Batch(torch.rand(2, 1, 8, 8), {"label": torch.tensor([3, 5])}).image.shape
    torch.Size([2, 1, 8, 8])
    """

    image: ImageTensor
    columns: dict[str, Tensor]


Shared = Any  # result of `Model.shared`; only the model itself reads it


class Role(StrEnum):
    """Purpose of a loss term, whatever its name: diagnostics and figures look at roles."""

    RECONSTRUCTION = "reconstruction"  # -log p(image | latents)
    KL = "KL"  # of the posterior from the prior
    BOUND = "bound"  # on -log p(image), or on -log p(latents)
    ADVERSARIAL = "adversarial"  # of a generator against its critic
    CRITIC = "critic"  # classification of real and of generated images
    PENALTY = "penalty"
    SUPERVISION = "supervision"


class Term(NamedTuple):
    """A loss term; the weight may be one per image."""

    weight: float | Tensor
    value: PerImage  # nats per image, float32
    role: Role


Terms = dict[str, Term]


class Player(NamedTuple):
    """A set of parameters with its own optimizer, and the loss that this optimizer minimizes.

    Parameters
    ----------
    module : nn.Module
        the parameters
    terms : callable
        function of a `Batch`, a `StepContext` and the result of `Model.shared` that returns
        weighted loss terms in nats per image; no terms mean no update at this step

    Examples
    --------
    >>> import latentia, torch
    >>> net = torch.nn.Linear(4, 1)
    >>> player = latentia.Player(net, lambda batch, context, shared: {})
    >>> player.terms(None, None, None)
    {}
    """

    module: nn.Module
    terms: Callable[[Batch, StepContext, Shared], Terms]  # empty: no update at this step


class Model(nn.Module):
    """Base class of everything that `latentia train` can train.

    A subclass implements `players` and `sample`. The other methods are optional.

    Parameters
    ----------
    *args, **kwargs
        networks and losses of the subclass

    Attributes
    ----------
    selection_metric : str or None
        score (a key of `score`) whose least validation mean selects weights; None keeps the last
    starts_fitted : bool
        whether `setup` fits a closed form, whose weights are then selected too if they are best
    leaves_out_missing : bool
        whether missing pixels, such as padding, take no part in the loss and the scores
    unselected : tuple of str
        beginnings of names of weights that no score concerns, and whose last values are kept

    Examples
    --------
    >>> import latentia, torch
    >>> from latentia.core.contract import Role, Term
    >>> class MeanImage(latentia.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.image = torch.nn.Parameter(torch.zeros(1, 8, 8))
    ...     def players(self):
    ...         return {"mean": latentia.Player(self, self.terms)}
    ...     def terms(self, batch, context, shared):
    ...         error = (self.image - batch.image).square().flatten(1).sum(1)
    ...         return {"distortion": Term(1.0, error, Role.RECONSTRUCTION)}
    >>> list(MeanImage().players())
    ['mean']
    """

    selection_metric: str | None = "nelbo"
    starts_fitted: bool = False
    leaves_out_missing: bool = False
    unselected: tuple[str, ...] = ()

    def players(self) -> dict[str, Player]:
        """Return the players in the order of their steps; at each step the others are frozen."""
        raise NotImplementedError

    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Prepare training: called before the first step, and again when a run resumes.

        Parameters
        ----------
        batches : iterable of Batch
            All training images, in order.

        Returns
        -------
        dict of str to Tensor
            Columns to add to the training batches, one row for each image.
        """
        return {}

    def encode_frozen(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Return columns of the validation images, in order, that no training changes."""
        return {}

    def metadata(self) -> dict[str, Any]:
        """Return results of `setup` that run.json records."""
        return {}

    def shared(self, batch: Batch, context: StepContext) -> Shared:
        """Compute what several terms need, once in each step before any player steps."""
        return None

    def observe(self, batch: Batch, context: StepContext) -> ImageTensor:
        """Return the observed images: the batch, or grey values that the likelihood binarises."""
        return batch.image

    def sample(self, n: int, *, seed: int = 0, cond: Tensor | None = None) -> ImageTensor:
        """Draw n new images.

        Parameters
        ----------
        n : int
            Number of images.
        seed : int
            Image k of a seed is the same for every n, up to rounding.
        cond : Tensor, optional
            Condition of each image, or one for all of them.

        Returns
        -------
        Tensor
            Images (n, c, h, w) in [0, 1].
        """
        raise NotImplementedError

    def score(self, batch: Batch, context: StepContext) -> dict[str, PerImage]:
        """Compute validation scores by name at beta 1, each per image (b,)."""
        return {}

    def monitors(self) -> dict[str, Tensor]:
        """Return scalars to log beside the terms, such as norms; read at logging steps only."""
        return {}


@runtime_checkable
class HasEncoder(Protocol):
    """A model that encodes images; it need not decode."""

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    def encode(self, images: ImageTensor) -> Posterior: ...


@runtime_checkable
class HasDecoder(Protocol):
    """A model that decodes latents; it need not encode."""

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    def decode(self, z: Latents) -> ImageTensor: ...


@runtime_checkable
class HasLatents(HasEncoder, HasDecoder, Protocol):
    """A model with an encoder and a decoder. Tools check for this protocol, not for a class."""

    def distortion(self, z: Latents, images: ImageTensor) -> PerImage: ...

    def score_latents(self, z: Latents, images: ImageTensor) -> dict[str, PerImage]: ...


@runtime_checkable
class HasGenerator(HasDecoder, Protocol):
    """A model whose generator maps noise to images in one pass."""

    def generate(self, z: Latents) -> ImageTensor: ...


@runtime_checkable
class HasTrajectory(Protocol):
    """A model that samples step by step from noise: latents of an autoencoder, or images."""

    autoencoder: Any  # decodes what is sampled; without an encoder it is the identity of pixels
    num_classes: int  # of the condition; 0: an image, or none

    @property
    def sampling(self) -> Any: ...

    @property
    def column(self) -> str | None: ...

    def sample_trajectory(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, sampling: Any = None
    ) -> Iterator[Latents]: ...


def get_autoencoder(model: Any) -> Any:
    """Return the model that encodes, itself or the one whose latents it samples; or None."""
    model = model.autoencoder if isinstance(model, HasTrajectory) else model
    return model if isinstance(model, HasLatents) else None


def get_decoder(model: Any) -> Any:
    """Return the model that decodes latents: a GAN, or the model that encodes; or None."""
    return model if isinstance(model, HasGenerator) else get_autoencoder(model)
