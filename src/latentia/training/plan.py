"""The training plan, which a recipe returns, and the options of every training."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from numbers import Integral
from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt

from latentia.core import distributed
from latentia.core.contract import Model, StepContext
from latentia.core.errors import Error
from latentia.core.tensors import ImageTensor
from latentia.data import Images
from latentia.data.reading import Aspect, Pages, Splits
from latentia.training.optimizers import Adam

MISSING_ADVICE = "missing pixels", "leave out --missing"


@dataclass
class Plan:
    """Everything that the training loop needs; a recipe returns it and modifiers change it.

    Parameters
    ----------
    model : Model
        model to train
    images : Images
        images with their training, validation and test splits
    optim : dict of str to Adam
        one optimizer for each of the model's players, by name
    batch : int
        number of images in each training step, at least 1
    epochs : int
        number of passes over the training images, at least 1
    average : float, optional
        half-life in images of the moving average of the weights, which then replaces the last
        weights (Karras et al. 2018, arXiv 1710.10196, appendix A); None keeps the last
    notes : list of str
        messages to the user about what the recipe chose
    augment : callable, optional
        random transformation of the training images, a function of images and `StepContext`

    Raises
    ------
    Error
        if `optim` does not have exactly the names of the model's players

    Examples
    --------
    >>> import latentia
    >>> from latentia.data import open_images
    >>> from latentia.losses.likelihoods import Bernoulli
    >>> from latentia.models.vae import VAE
    >>> from latentia.nets.mlp import MLPDecoder, MLPEncoder
    >>> images = open_images("digits:200", size=8, channels=1)
    >>> encoder = MLPEncoder(images.shape, 4, (32,))
    >>> model = VAE(encoder, MLPDecoder(4, images.shape, (32,)), Bernoulli())
    >>> plan = latentia.Plan(model, images, {"vae": latentia.Adam(1e-3)}, batch=32, epochs=1)
    >>> list(plan.model.players())
    ['vae']
    """

    model: Model
    images: Images
    optim: dict[str, Adam]
    batch: int
    epochs: int
    average: float | None = None
    notes: list[str] = field(default_factory=list)
    augment: Callable[[ImageTensor, StepContext], ImageTensor] | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "epochs"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise Error(f"{name} of the plan is {value!r}; give a whole number, at least 1.")
        players = list(self.model.players())
        if sorted(players) != sorted(self.optim):
            raise Error(
                f"The plan has optimizers for {', '.join(self.optim) or 'nobody'}; the model's "
                f"players are {', '.join(players)}: give optim one for each."
            )
        if self.images.source.reading.marks_missing:
            self._check_missing()

    def _check_missing(self) -> None:
        """Raises: Error if the model or its likelihood would see missing pixels."""
        model, likelihood = self.model, getattr(self.model, "likelihood", None)
        is_padding = self.images.source.reading.missing is None
        pixels, advice = ("padding", "give --aspect crop") if is_padding else MISSING_ADVICE
        if not model.leaves_out_missing:
            raise Error(
                f"{type(model).__name__} cannot leave {pixels} out of its loss; {advice}, or take "
                "another recipe such as conv_vae, or photo_vae with --features none."
            )
        if likelihood is not None and not likelihood.leaves_out_missing(self.images.shape):
            raise Error(
                f"The likelihood {type(likelihood).__name__} cannot leave {pixels} out of its loss;"
                f" {advice}, or let its nll end in self.sum_pixels."
            )

    def batch_size(self) -> int:
        """Return the number of images in a step: `batch`, or all training images if fewer.

        Raises: Error if there are none.
        """
        if n := len(self.images.split("train")):
            return min(self.batch, n)
        raise Error("There is no image to train on; give more, or a smaller --validation.")

    def rank_batch_size(self) -> int:
        """Return each process's number of images in a step. Raises: Error if they cannot share."""
        batch, n = self.batch_size(), distributed.world_size()
        if batch % n == 0:
            return batch // n
        text = f"{n} processes cannot share {batch} images; {n} must divide --batch."
        raise Error(text, on_all_ranks=True)


@dataclass(frozen=True)
class Options:
    """Options of every training: they change how it runs, never its objective.

    Parameters
    ----------
    seed : N
        seed of the initial weights, data order, noise, splits and pictures, at least 0
    device : {auto,cpu,cuda,cuda:N,mps}
        device to train on; auto takes a GPU if there is one
    precision : {auto,bf16,fp32}
        number format of the networks; losses are always float32; auto takes bf16 on a GPU that has
        it in hardware, and on a CPU where it is measured to be at least 1.2 times as fast
    validation : FLOAT
        fraction of the training images to hold out for validation, from 0 to less than 1; the
        default is 1/12
    track : IMAGE
        image file, or row number (from 0) of a validation image, whose reconstruction is saved
        during training
    tracker : {tensorboard,wandb,mlflow}
        experiment tracker that also receives the logged values and pictures
    labels : FILE
        table (.csv or .parquet) of labels, joined to the images by file name; images that it lacks
        have no label
    label_folder : N
        folder whose names are the labels, counted from the root of the data: 1 for the first, 2 for
        the folders in it; the default is the first that is no split
    label_regex : REGEX
        regular expression that finds the label in an image's key (its path in the data); named
        groups, such as (?P<mouse>...), become columns of that name
    label_kind : COLUMN=KIND,...
        class or number, for columns that are not to be taken as they look, such as
        age=number,grade=class; text and whole numbers of at most 20 distinct values are classes
    splits : {own,seeded}
        own: training, validation and test images are those of the source where it says so, as
        folders train, val and test do; seeded: they are drawn by seed (default own)
    group : COLUMN
        label column whose equal values stay in one split, such as a patient; pages of one file
        always do
    group_regex : REGEX
        regular expression whose match in an image's key is that value
    balance : COLUMN
        label column whose classes are equally frequent in training: an epoch draws as many images
        as there are, with replacement, and each class has the same expected share; images without
        a class count as one more class
    exclude : FILE
        table (.csv or .parquet) with the keys of images to leave out, such as one that
        latentia doctor RUN --table FILE.csv wrote
    aspect : {stretch,crop,pad}
        how an image of other proportions than --size gets them: stretch changes its proportions,
        crop takes its central part, pad adds a border that takes no part in the loss (default
        stretch)
    missing : {alpha,nan,DIR}
        which pixels are missing, and take no part in the loss and the metrics: those of an opacity
        below one half, those that are NaN, or those that are black in the image's mask in a folder,
        a file of its name, such as DIR/1.png for 1.jpg
    tiles : SIZE[:STRIDE]
        cut every image into square tiles of SIZE pixels, one every STRIDE, or else beside each
        other; each is an image with the key FILE#Y,X, those of one file stay in one split, and
        empty ones, whose pixels are all equal, are left out
    pages : {images,channels,first}
        meaning of the pages of one TIFF file: each is an image, each is a channel of one image, or
        only the first is read (default images)
    white : VALUE
        pixel value that is scaled to 1.0, for example 4095 for a 12-bit camera; needed for 16-bit
        and floating-point images whose range is not that of their type
    black : VALUE
        pixel value that is scaled to 0.0, for example -1024 with --white 3071 for Hounsfield units;
        values outside the range are an error (default 0)
    background : LEVEL
        grey level behind transparent pixels, from 0 (black) to 1 (white)
    skip_unreadable
        go on without files that cannot be read, and list them in run.json and in the report
    max_pixels : N
        number of pixels of one image above which it is refused as a decompression bomb
    stream
        read .tar or .parquet shards during training, and store no decoded pixels on disk
    init : RUN
        run folder whose weights the training starts from, instead of random ones; recipe and shapes
        must be the same, and the optimizers start anew
    threads : N
        number of CPU threads, 1 to 1024; the default is one per core
    log_every : N
        number of training steps between two rows of log.jsonl, at least 1
    save_every : N
        number of training steps between two saves, at least 1; the end of an epoch always saves

    Examples
    --------
    >>> import latentia
    >>> options = latentia.Options(seed=1, precision="fp32", validation=0.1)
    >>> run = latentia.train("mnist_mlp_vae", data="digits:200", epochs=1, options=options)
    >>> run.options.seed
    1
    """

    seed: Annotated[int, Ge(0)] = 0
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    validation: Annotated[float, Ge(0), Lt(1)] = 1 / 12
    track: str | None = None
    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = None
    _: KW_ONLY
    labels: str | None = None
    label_folder: Annotated[int | None, Ge(1)] = None
    label_regex: str | None = None
    label_kind: str | None = None
    splits: Splits = "own"
    group: str | None = None
    group_regex: str | None = None
    balance: str | None = None
    exclude: str | None = None
    aspect: Aspect = "stretch"
    missing: str | None = None
    tiles: int | str | None = None
    pages: Pages = "images"
    white: float | None = None
    black: float | None = None
    background: Annotated[float, Ge(0)] = 1.0
    skip_unreadable: bool = False
    max_pixels: Annotated[int | None, Ge(1)] = None
    stream: bool = False
    init: str | None = None
    threads: Annotated[int | None, Ge(1), Le(1024)] = None
    log_every: Annotated[int, Ge(1)] = 50
    save_every: Annotated[int, Ge(1)] = 500
