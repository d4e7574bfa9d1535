"""Types of the parameters that recipes share, each with its meaning and range."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from latentia.core.text import Metavar
from latentia.data.sources.registry import DATA_SOURCES
from latentia.losses.registry import LIKELIHOODS

DATA = Doc(
    "images to train on: NAMES, a folder, two of pairs:INPUT:TARGET, or a .parquet, .npy or .npz "
    "file; with --stream also .tar files and URLs"
)
Data = Annotated[Any, Metavar("DATA"), DATA_SOURCES, DATA]
LIKELIHOOD = Doc(
    "distribution of a pixel: bernoulli for black and white, gaussian with the variance of the "
    "residual, discretized for the nats and bits of integers; auto takes one of the first two"
)
LikelihoodName = Annotated[str, LIKELIHOODS, LIKELIHOOD]
AUTOENCODER = Doc("run of a VAE or VAE-GAN whose latents are learned, or diffusers:DIR (required)")
Autoencoder = Annotated[Any, Metavar("RUN"), AUTOENCODER]
PATH = Doc(
    "path from data to noise: linear for flow matching, variance-preserving for noise prediction"
)
PathName = Annotated[Literal["linear", "variance-preserving"], PATH]
SIZE = Doc("height and width in pixels: 64, or 64x48 (height first); by default the images' own")
Size = Annotated[int | str | None, Metavar("SIZE"), SIZE]
CHANNELS = Doc("number of colour channels: 1 for grey, 3 for colour; by default the images' own")
Channels = Annotated[int | None, Ge(1), CHANNELS]
Latent = Annotated[int, Ge(1), Doc("number of latent dimensions, at least 1")]
Hidden = Annotated[int, Ge(1), Doc("number of units in each hidden layer, at least 1")]
BETA = Doc("weight of the rate (KL) in the loss, at least 0; 1 gives the negative ELBO")
Beta = Annotated[float, Ge(0), BETA]
LearningRate = Annotated[float, Gt(0), Doc("highest learning rate of the schedule, more than 0")]
BatchSize = Annotated[int, Ge(1), Doc("number of images in each training step, at least 1")]
Epochs = Annotated[int, Ge(1), Doc("number of passes over the training images, at least 1")]
AVERAGE = Doc("half-life of the moving average of the weights, in images; None turns it off")
Average = Annotated[float | None, Ge(1), AVERAGE]
Fraction = Annotated[float, Ge(0), Le(1)]
FEATURES = Doc("gradient norm of feature matching as a fraction of the distortion's, at least 0")
FeatureWeight = Annotated[float, Ge(0), FEATURES]
ADVERSARY_FROM = Doc("fraction of the run, 0 to 1, after which the adversarial loss is added")
AdversaryFrom = Annotated[Fraction, ADVERSARY_FROM]
