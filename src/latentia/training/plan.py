"""A plan: what a recipe returns and an edit changes; all that the loop needs to know."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

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
    """Options of every training. They change the numbers that it runs on, never its objective.

    Parameters
    ----------
    seed : N
        seed of the initial weights, data order, noise, splits and pictures, at least 0
    device : {auto,cpu,cuda,cuda:N,mps}
        device to train on; auto takes a GPU if there is one
    precision : {auto,bf16,fp32}
        number format of the networks; losses are always float32; auto takes bf16 if the device has
        it in hardware
    validation : FLOAT
        fraction of the training images to hold out for validation, from 0 to less than 1; the
        default is 1/12
    track : IMAGE
        image file, or row number (from 0) of a validation image, whose reconstruction is saved
        during training
    tracker : {tensorboard,wandb,mlflow}
        experiment tracker that also receives the logged values and pictures
    white : VALUE
        pixel value that means 1.0, for example 4095 for a 12-bit camera; needed for 16-bit and
        floating-point images whose range is not that of their type
    background : LEVEL
        grey level behind transparent pixels, from 0 (black) to 1 (white)
    stream
        read .tar or .parquet shards during training, and store no decoded pixels on disk
    threads : N
        number of CPU threads, at least 1; the default is one per core
    log_every : N
        number of training steps between two rows of log.jsonl, at least 1
    save_every : N
        number of training steps between two saves, at least 1; each epoch ends with a save too
    """

    seed: Annotated[int, Ge(0)] = 0
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    validation: Annotated[float, Ge(0), Lt(1)] = 1 / 12
    track: str | None = None
    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = None
    _: KW_ONLY
    white: Annotated[float | None, Gt(0)] = None
    background: Annotated[float, Ge(0)] = 1.0
    stream: bool = False
    threads: Annotated[int | None, Ge(1)] = None
    log_every: Annotated[int, Ge(1)] = 50
    save_every: Annotated[int, Ge(1)] = 500
