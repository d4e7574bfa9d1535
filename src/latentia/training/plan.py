"""A plan: what a recipe returns and an edit changes; all that the loop needs to know."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from typing_extensions import Doc

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.data import Images
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import Metavar


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
        int,
        Ge(0),
        Doc("seed of the initial weights, data order, noise, splits and pictures, at least 0"),
    ] = 0
    device: Annotated[
        str,
        Metavar("{auto,cpu,cuda,cuda:N,mps}"),
        Doc("device to train on; auto takes a GPU if there is one"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "bf16", "fp32"],
        Doc(
            "number format of the networks; losses are always float32; auto takes bf16 if the "
            "device has it in hardware"
        ),
    ] = "auto"
    validation: Annotated[
        float,
        Ge(0),
        Lt(1),
        Doc(
            "fraction of the training images to hold out for validation, from 0 to less than 1; "
            "the default is 1/12"
        ),
    ] = 1 / 12
    track: Annotated[
        str | None,
        Metavar("IMAGE"),
        Doc(
            "image file, or row number (from 0) of a validation image, whose reconstruction is "
            "saved during training"
        ),
    ] = None
    tracker: Annotated[
        Literal["tensorboard", "wandb", "mlflow"] | None,
        Doc("experiment tracker that also receives the logged values and pictures"),
    ] = None
    _: KW_ONLY
    white: Annotated[
        float | None,
        Gt(0),
        Metavar("VALUE"),
        Doc(
            "pixel value that means 1.0, for example 4095 for a 12-bit camera; needed for 16-bit "
            "and floating-point images whose range is not that of their type"
        ),
    ] = None
    background: Annotated[
        float, Ge(0), Doc("grey level behind transparent pixels, from 0 (black) to 1 (white)")
    ] = 1.0
    stream: Annotated[
        bool,
        Doc("read .tar or .parquet shards during training, and store no decoded pixels on disk"),
    ] = False
    threads: Annotated[
        int | None, Ge(1), Doc("number of CPU threads, at least 1; the default is one per core")
    ] = None
    log_every: Annotated[
        int, Ge(1), Doc("number of training steps between two rows of log.jsonl, at least 1")
    ] = 50
    save_every: Annotated[
        int,
        Ge(1),
        Doc(
            "number of training steps between two saves, at least 1; the end of each epoch is "
            "saved too"
        ),
    ] = 500
