"""A plan: what a recipe returns and an edit changes; all that the loop needs to know."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from typing_extensions import Doc

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.data import Images
from latentia.training.optimizers import Adam


@dataclass
class Plan:
    """model and images; one optimizer a player; batch and epochs.

    average: half-life, in images seen, of the averaged copy of the weights that is then used
    instead of the last ones (Karras et al. 2018, arXiv 1710.10196, appendix A); None: no copy.
    """

    model: Model
    images: Images
    optim: dict[str, Adam]
    batch: int
    epochs: int
    average: float | None = None

    def __post_init__(self) -> None:
        players = list(self.model.players())
        if sorted(players) != sorted(self.optim):
            raise Error(
                f"The plan has optimizers for {', '.join(self.optim) or 'nobody'}; the model's "
                f"players are {', '.join(players)}: give optim one for each."
            )


@dataclass(frozen=True)
class Options:
    """What holds for every recipe. It never changes what is learned, only from which numbers."""

    seed: Annotated[
        int, Ge(0), Doc("fixes initialisation, data order, noise, split and figures")
    ] = 0
    validation: Annotated[
        float, Ge(0), Lt(1), Doc("share of the training images kept for validation")
    ] = 1 / 12
    white: Annotated[float | None, Gt(0), Doc("value of 16-bit and float images that means 1")] = (
        None
    )
    background: Annotated[float, Ge(0), Doc("grey behind transparent pixels, 0 to 1")] = 1.0
    stream: Annotated[
        bool, Doc("read .tar or .parquet shards as they are needed; keep no pixels on disk")
    ] = False
    precision: Annotated[
        Literal["auto", "bf16", "fp32"], Doc("of the networks; losses are always float32")
    ] = "auto"
    device: Annotated[str, Doc("auto, cpu, cuda, cuda:1, mps")] = "auto"
    threads: Annotated[int | None, Ge(1), Doc("default: one a core")] = None
    track: Annotated[
        str | None, Doc("image file, or index into validation, whose reconstruction is followed")
    ] = None
    tracker: Annotated[
        Literal["tensorboard", "wandb", "mlflow"] | None,
        Doc("that is told the rows and pictures too"),
    ] = None
    log_every: Annotated[int, Ge(1), Doc("steps between rows of log.jsonl")] = 50
    save_every: Annotated[int, Ge(1), Doc("steps between saves, beside each epoch's")] = 500
