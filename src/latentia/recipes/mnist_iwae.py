"""Importance-weighted autoencoder (IWAE) of binarised MNIST; a VAE at k = 1."""

import math
from typing import Annotated, Literal

from annotated_types import Ge
from torch import nn

from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.iwae import IWAE
from latentia.nets.initialization import init_glorot
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


def published_schedule(progress: float) -> float:
    """Learning rate 10^(-i/7) for 3^i of 3,280 epochs, i = 0 to 7; Burda et al. 2016, section 5."""
    return 10 ** -(math.floor(math.log(6560 * min(progress, 0.9999) + 1, 3)) / 7)


@recipe
def mnist_iwae(
    data: types.Data = "mnist",
    k: Annotated[int, Ge(1)] = 5,
    latent: types.Latent = 50,
    hidden: types.Hidden = 200,
    binary: bool = True,
    rate: Literal["cosine", "published"] = "cosine",
    lr: types.LearningRate = 2e-3,
    batch: types.BatchSize = 100,
    epochs: types.Epochs = 200,
) -> Plan:
    """IWAE of binarised MNIST: 784-200-200-50 with tanh, one stochastic layer; 425,284 parameters.

    Burda et al. 2016, arXiv 1509.00519. The published training is --rate published --lr 1e-3
    --batch 20 --epochs 3280. `latentia evaluate RUN --metrics nll` gives the paper's figure.

    Parameters
    ----------
    k
        number of samples per image in the importance-weighted bound; 1 gives the VAE
    binary
        binarise at random: a pixel is white with a probability equal to its grey value
    rate
        schedule of the learning rate: cosine, or that of the paper
    """
    images = open_images(data, size=28, channels=1)
    hidden_widths = (hidden, hidden)
    model = IWAE(
        encoder=init_glorot(MLPEncoder(images.shape, latent, hidden_widths, nn.Tanh)),
        decoder=init_glorot(MLPDecoder(latent, images.shape, hidden_widths, nn.Tanh)),
        likelihood=Bernoulli(binary),
        k=k,
    )
    schedule = published_schedule if rate == "published" else cosine(warmup=0.01)
    return Plan(model, images, {"vae": Adam(lr, eps=1e-4, schedule=schedule)}, batch, epochs)
