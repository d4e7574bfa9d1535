"""Options that several commands take, each with its help."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.core.text import Metavar

RUN = Doc("run folder, or hub:OWNER/NAME to download one")
RunName = Annotated[Positional[str], Metavar("RUN"), RUN]
POINT = Doc(
    "image file, key in the table that latentia encode writes, or row number (from 0); or FILE:ROW,"
    " latents in a table that latentia encode or sample wrote"
)
Point = Annotated[Positional[str], Metavar("IMAGE"), POINT]
DATA = Doc("read images from this folder, file or dataset; the default is the run's own images")
Data = Annotated[str | None, Metavar("DATA"), DATA]
MOVED = Doc("folder, file or dataset that now holds the run's images, if they have moved")
MovedData = Annotated[str | None, Metavar("DATA"), MOVED]
SPLIT = Doc("train, validation, test or all; the default is test, and all with other --data")
Split = Annotated[str | None, Metavar("SPLIT"), SPLIT]
ROWS = Doc("split in which row numbers count: train, validation, test or all (the default)")
RowSplit = Annotated[str | None, Metavar("SPLIT"), ROWS]
TARGET = Doc(
    "label with which latents are decoded, for a run of --cond; by default each image's own. An "
    "image without a label is encoded with it too"
)
Target = Annotated[str | None, Metavar("LABEL"), TARGET]
BETA = Doc("beta to use, for a run of --multirate; the default is the beta given to its recipe")
Beta = Annotated[float | None, BETA]
PICTURE = Doc("picture (.png) or array (.npy) to write")
Picture = Annotated[str, Metavar("FILE"), PICTURE]
TABLE = Doc("table to write (.csv, .tsv or .json); by default it is only printed")
TableFile = Annotated[str | None, Metavar("FILE"), TABLE]
SAMPLES = Doc(
    "picture (.png), arrays (.npy, or .npz with x, and y for classes or keys), or a folder without "
    "files, such as samples/, for a .png file of each image, and metadata.csv with its class or key"
)
Samples = Annotated[str, Metavar("FILE"), SAMPLES]
ANIMATION = Doc("picture (.png), animation (.gif) or array (.npy) to write")
Animation = Annotated[str, Metavar("FILE"), ANIMATION]
Seed = Annotated[int, Doc("seed of the random numbers, at least 0; the same gives the same result")]
Count = Annotated[int, arg(aliases=("-n",)), Doc("number of images, at least 1")]
AT_MOST = Doc("number of images, at least 2; by default all, but for distances at most 10,000")
MostImages = Annotated[int | None, arg(aliases=("-n",)), AT_MOST]
Json = Annotated[bool, arg(name="json"), Doc("print the result as JSON instead of text")]
FEATURES = Doc("feature space in which distances between sets of images are measured")
Features = Annotated[
    str, Metavar("{auto,classifier,pixels,efficientnet,inception,dinov2}"), FEATURES
]
LABELS = Doc("table of labels (.csv or .parquet), joined to the images by file name")
LabelFile = Annotated[str | None, Metavar("FILE"), LABELS]
COLUMNS = Doc("label columns to use, such as Year,Brand; all of --labels or of the data by default")
LabelColumns = Annotated[str | None, Metavar("COLUMN,..."), COLUMNS]
DIMS = Doc("latent dimensions: top:4 for those of highest rate (KL), or 0,3,5; by default top:8")
Dims = Annotated[str | None, Metavar("DIMS"), DIMS]
