"""Options that several commands take, each with its help."""

from typing import Annotated, NamedTuple

from typing_extensions import Doc
from tyro.conf import Positional, arg

RunName = Annotated[
    Positional[str], arg(metavar="RUN"), Doc("run folder, or hub:OWNER/NAME to download one")
]
IMAGE = (
    "image file, key in the table that `latentia encode` writes, or row number (from 0) among all "
    "images or in --split"
)
Image = Annotated[Positional[str], arg(metavar="IMAGE"), Doc(IMAGE)]
Data = Annotated[
    str | None,
    arg(metavar="DATA"),
    Doc("read images from this folder, file or dataset; the default is the run's own images"),
]
MovedData = Annotated[
    str | None,
    arg(metavar="DATA"),
    Doc("folder, file or dataset that now holds the run's images, if they have moved"),
]
SplitName = Annotated[
    str | None,
    arg(metavar="SPLIT"),
    Doc("train, validation, test or all; the default is test, and all with --data of other images"),
]
Beta = Annotated[
    float | None,
    Doc(
        "weight of the rate (KL) to use, for a run trained with --multirate; the default is the "
        "beta of its recipe"
    ),
]
PictureFile = Annotated[str, arg(metavar="FILE"), Doc("picture (.png) or array (.npy) to write")]
AnimationFile = Annotated[
    str, arg(metavar="FILE"), Doc("picture (.png), animation (.gif) or array (.npy) to write")
]
Seed = Annotated[int, Doc("seed of the random numbers; the same seed gives the same result")]
Count = Annotated[int, arg(aliases=("-n",)), Doc("number of images, at least 1")]
Json = Annotated[bool, arg(name="json"), Doc("print the result as JSON instead of text")]
Features = Annotated[
    str,
    arg(metavar="{auto,classifier,pixels,inception,dinov2}"),
    Doc("feature space in which distances between sets of images are measured"),
]
LabelFile = Annotated[
    str | None,
    arg(metavar="FILE"),
    Doc("table of labels (.csv or .parquet), joined to the images by file name"),
]
LabelColumns = Annotated[
    str | None,
    arg(metavar="COLUMN,..."),
    Doc(
        "label columns to use, such as Year,Brand; the default is all columns of --labels, or of "
        "the data"
    ),
]
Dims = Annotated[
    str | None,
    arg(metavar="DIMS"),
    Doc(
        "latent dimensions: top:4 for the four of highest rate (KL), or numbers such as 0,3,5; the "
        "default is top:8"
    ),
]


class Inputs(NamedTuple):
    """Where a command finds its run and images, and the file that it writes."""

    run: str
    data: str | None = None
    split: str | None = None
    beta: float | None = None
    out: str = ""
