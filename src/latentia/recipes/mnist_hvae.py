"""Hierarchical VAE of binarised MNIST, for a tight likelihood."""

from itertools import pairwise
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.core.schedules import cosine, delayed, linear
from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.hvae import HVAE
from latentia.nets.ladder import LadderDecoder, LadderEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types

WARMUP = 0.2  # share of the run in which the weight of the rate rises from 0 to 1


@recipe
def mnist_hvae(
    data: types.Data = "mnist",
    levels: Annotated[int, Ge(1), Doc("number of levels of latents, at least 1")] = 3,
    latent: types.Latent = 96,
    hidden: types.Hidden = 512,
    binary: bool = True,
    average: types.Average = 100_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 40,
) -> Plan:
    """Hierarchical VAE of binarised MNIST: 3 levels of residual layers; 5,778,576 parameters.

    Top-down inference (Sønderby et al. 2016, arXiv 1602.02282; Child 2021, arXiv 2011.10650).
    The weight of the rate rises from 0 to 1 over the first fifth of the run.
    `latentia evaluate RUN --metrics nll --k 500` gives the likelihood.
    Expect, after 80 epochs and 42 minutes of a core: 83.9 +- 0.7 nats (500 samples, standard error,
    n = 1,000, 1 run): docs/benchmarks/hvae.md.

    Parameters
    ----------
    binary
        binarise at random: a pixel is white with a probability equal to its grey value
    """
    images = open_images(data, size=28, channels=1)
    if latent < levels:
        raise Error(
            f"--latent is {latent} and --levels is {levels}; give at least one latent dimension for"
            " each level, or fewer levels."
        )
    ends = [latent * k // levels for k in range(levels + 1)]  # levels as equal as can be
    sizes = images.shape, [end - start for start, end in pairwise(ends)], hidden
    # at full weight from the start most latents stay unused
    beta = delayed(0.0, linear(0.0, 1.0), until=WARMUP)
    model = HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Bernoulli(binary), beta)
    adam = Adam(lr, weight_decay=0.01, schedule=cosine(warmup=0.02))
    return Plan(model, images, {"vae": adam}, batch, epochs, average=average)
