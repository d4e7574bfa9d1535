"""Importance-weighted autoencoder (IWAE) of binarised MNIST; a VAE at k = 1."""

import math
from typing import Annotated, Literal

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from latentia.core.schedules import cosine
from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.iwae import IWAE
from latentia.nets.initialization import init_glorot
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import BatchSize, Data, Epochs, Hidden, Latent, LearningRate
from latentia.training.plan import Plan
from latentia.training.registries import recipe

RATE = Doc("schedule of the learning rate")


def published_schedule(progress: float) -> float:
    """Learning rate 10^(-i/7) for 3^i of 3,280 epochs, i = 0 to 7; Burda et al. 2016, section 5."""
    return 10 ** -(math.floor(math.log(6560 * min(progress, 0.9999) + 1, 3)) / 7)


@recipe
def mnist_iwae(
    data: Data = "mnist",
    k: Annotated[int, Ge(1), Doc("number of samples in the bound; 1 gives the VAE")] = 5,
    latent: Latent = 50,
    hidden: Hidden = 200,
    binary: Annotated[bool, Doc("train on black and white drawn from grey values")] = True,
    rate: Annotated[Literal["cosine", "published"], RATE] = "cosine",
    lr: LearningRate = 2e-3,
    batch: BatchSize = 100,
    epochs: Epochs = 200,
) -> Plan:
    """IWAE of binarised MNIST: 784-200-200-50 with tanh, one stochastic layer; 425,284 parameters.

    Burda et al. 2016, arXiv 1509.00519. The published training is --rate published --lr 1e-3
    --batch 20 --epochs 3280. `latentia evaluate RUN --metrics nll` gives the paper's figure.
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
