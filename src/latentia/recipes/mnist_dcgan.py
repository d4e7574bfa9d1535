"""Convolutional GAN of MNIST."""

from typing import Annotated

from annotated_types import Ge, Gt

from latentia.core.schedules import constant, cosine
from latentia.data import open_images
from latentia.losses.adversarial import NonSaturating
from latentia.models.gan import GAN
from latentia.nets.critic import Critic
from latentia.nets.generator import DCGenerator
from latentia.nets.initialization import init_glorot
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def mnist_dcgan(
    data: types.Data = "mnist",
    latent: types.Latent = 100,
    gamma: Annotated[float, Ge(0)] = 1.0,
    average: types.Average = 20_000.0,
    lr: types.LearningRate = 2e-4,
    critic_lr: Annotated[float, Gt(0)] = 8e-4,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 20,
) -> Plan:
    """Convolutional GAN of MNIST (DCGAN); critic 40,705 parameters, generator 1,164,289.

    Radford et al. 2016, arXiv 1511.06434, with the non-saturating loss (Goodfellow et al. 2014),
    dropout 0.4 in the critic and Adam with betas 0.5 and 0.999. Weights are uniform Glorot and
    biases zero: with PyTorch's own initialisation and no normalisation the pair collapses within
    60,000 images. Penalties R1 and R2 steady it; the critic's learning rate is four times the
    generator's, and both fall. `--gamma 0 --critic-lr 2e-4 --average None` is the published
    training: no penalty, one constant rate, the last weights (docs/benchmarks/gan.md).

    Parameters
    ----------
    gamma
        weight of the gradient penalties; 0 as published
    critic_lr
        learning rate of the critic, more than 0
    """
    images = open_images(data, size=28, channels=1)
    model = GAN(
        generator=init_glorot(DCGenerator(latent, images.shape, channels=128)),
        critic=init_glorot(Critic(images.shape, channels=(64, 64), slope=0.2, dropout=0.4)),
        loss=NonSaturating(),
        gamma=constant(gamma) if gamma else None,
    )
    schedule = cosine(end=0.05) if gamma else constant(1.0)
    optim = {
        name: Adam(learning_rate, betas=(0.5, 0.999), schedule=schedule)
        for name, learning_rate in (("critic", critic_lr), ("generator", lr))
    }
    return Plan(model, images, optim, batch, epochs, average)
