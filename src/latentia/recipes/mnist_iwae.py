"""The importance-weighted autoencoder of binarised MNIST, and at k = 1 the VAE beside it."""

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


def published_schedule(progress: float) -> float:
    """10^(-i/7) for 3^i of 3,280 parts of the run, i = 0 to 7; Burda et al. 2016, section 5."""
    return 10 ** -(math.floor(math.log(6560 * min(progress, 0.9999) + 1, 3)) / 7)


@recipe
def mnist_iwae(
    data: Data = "mnist",
    k: Annotated[int, Ge(1), Doc("number of samples in the bound; 1 gives the VAE")] = 5,
    latent: Latent = 50,
    hidden: Hidden = 200,
    binary: Annotated[bool, Doc("train on black and white drawn from grey values")] = True,
    rate: Annotated[
        Literal["cosine", "published"], Doc("schedule of the learning rate")
    ] = "cosine",
    lr: LearningRate = 2e-3,
    batch: BatchSize = 100,
    epochs: Epochs = 200,
) -> Plan:
    """The IWAE of one stochastic layer, 784-200-200-50 with tanh, on binarised digits.

    Source: Burda et al. 2016, arXiv 1509.00519; as published: --rate published --lr 1e-3 --batch 20
    --epochs 3280. `latentia evaluate RUN --metrics nll` measures what the paper reports.
    """
    images = open_images(data, size=28, channels=1)
    hidden_widths = (hidden, hidden)
    model = IWAE(
        encoder=init_glorot(MLPEncoder(images.shape, latent, hidden_widths, nn.Tanh)),
        decoder=init_glorot(MLPDecoder(latent, images.shape, hidden_widths, nn.Tanh)),
        likelihood=Bernoulli(),
        k=k,
        binary=binary,
    )
    schedule = published_schedule if rate == "published" else cosine(warmup=0.01)
    return Plan(model, images, {"vae": Adam(lr, eps=1e-4, schedule=schedule)}, batch, epochs)
