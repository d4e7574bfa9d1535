"""Recipes small enough to be made ill and mended in seconds, with knobs that the house's lack."""

import math
import signal
from typing import Literal

from torch import Tensor, nn

from latentia.core.registries import recipe
from latentia.core.schedules import constant, cosine, delayed, linear
from latentia.data import open_images
from latentia.losses.adversarial import NonSaturating, Relativistic
from latentia.losses.likelihoods import Gaussian, SymmetricGaussian
from latentia.models.gan import GAN
from latentia.models.vae import VAE
from latentia.models.vaegan import VAEGAN, PublishedObjective
from latentia.nets.critic import Critic
from latentia.nets.generator import DCGenerator
from latentia.nets.initialization import init_glorot
from latentia.nets.mlp import MLPDecoder, MLPEncoder, make_perceptron
from latentia.training.optimizers import Adam
from latentia.training.plan import Plan


class Judge(nn.Module):
    def __init__(self, pixels: int, hidden: int):
        super().__init__()
        self.layers = make_perceptron((pixels, hidden, hidden, 1))

    def features(self, image: Tensor) -> list[Tensor]:
        return [self.layers[:-1](image.flatten(1))]  # pyright: ignore

    def verdict(self, features: Tensor) -> Tensor:
        return self.layers[-1](features).squeeze(1)  # pyright: ignore

    def forward(self, image: Tensor) -> Tensor:
        return self.verdict(self.features(image)[-1])


@recipe
def duel(
    data: str = "digits",
    relative: bool = True,
    gamma: float = 0.1,
    lr: float = 1e-3,
    critic_lr: float = 1e-3,
    batch: int = 64,
    epochs: int = 24,
) -> Plan:
    """Perceptrons that duel over digits of 8x8."""
    images = open_images(data, size=8, channels=1)
    generator = init_glorot(MLPDecoder(16, images.shape, (128, 128)))
    generator.latent_shape = (16,)
    model = GAN(
        generator,
        init_glorot(Judge(64, 128)),
        loss=Relativistic() if relative else NonSaturating(),
        gamma=constant(gamma) if gamma else None,
        sigmoid_output=not relative,
    )
    falls = cosine(end=0.1)
    optim = {
        "critic": Adam(critic_lr, betas=(0.0, 0.99), schedule=falls),
        "generator": Adam(lr, betas=(0.0, 0.99), schedule=falls),
    }
    return Plan(model, images, optim, batch, epochs, average=5000.0)


@recipe
def gaussian(
    data: str = "digits",
    latent: int = 8,
    hidden: int = 128,
    sigma: Literal["optimal", "published"] = "optimal",
    clip: float | None = 1e5,
    beta: float = 1.0,
    lr: float = 1e-3,
    batch: int = 32,
    epochs: int = 16,
) -> Plan:
    """A VAE whose likelihood is a Gaussian, and whose gradient is clipped, as speckle_vae's."""
    images = open_images(data, size=8, channels=1)
    model = VAE(
        MLPEncoder(images.shape, latent, (hidden,)),
        MLPDecoder(latent, images.shape, (hidden,)),
        Gaussian("optimal" if sigma == "optimal" else math.sqrt(0.5)),
        beta=constant(beta),
    )
    return Plan(model, images, {"vae": Adam(lr, clip=clip)}, batch, epochs)


@recipe
def rival(
    data: str = "digits",
    adversarial_weight: float | Literal["published"] = 0.5,
    adversary_from: float = 0.5,
    lr: float = 1e-3,
    batch: int = 32,
    epochs: int = 16,
) -> Plan:
    """A VAE-GAN of perceptrons, with the knobs of `vaegan`."""
    images = open_images(data, size=16, channels=1)
    ratio = None
    if adversarial_weight != "published":
        joined = min(adversary_from + 0.1, 1.0)
        ratio = delayed(adversary_from, linear(0.0, adversarial_weight), until=joined)
    model = VAEGAN(
        MLPEncoder(images.shape, 8, (128,)),
        MLPDecoder(8, images.shape, (128,)),
        Gaussian(0.1),
        Judge(256, 128),
        PublishedObjective(gradient_ratio=ratio),
    )
    optim = {"critic": Adam(lr, betas=(0.5, 0.999)), "vae": Adam(lr)}
    return Plan(model, images, optim, batch, epochs, average=2000.0)


class Stopped(VAE):
    """As if the machine had been taken away."""

    at = 40

    def shared(self, batch, moment):
        if moment.step == self.at:
            signal.raise_signal(signal.SIGTERM)


@recipe
def stopped(
    data: str = "digits", at: int = 40, lr: float = 1e-3, batch: int = 64, epochs: int = 16
) -> Plan:
    """A VAE whose training is stopped once, at this step."""
    images = open_images(data, size=16, channels=1)
    model = Stopped(
        MLPEncoder(images.shape, 8, (128,)), MLPDecoder(8, images.shape, (128,)), Gaussian(0.2)
    )
    model.at = at
    return Plan(model, images, {"vae": Adam(lr)}, batch, epochs)


@recipe
def dcgan(
    data: str = "digits",
    init: Literal["glorot", "pytorch"] = "glorot",
    gamma: float = 1.0,
    lr: float = 2e-4,
    critic_lr: float = 2e-4,
    batch: int = 64,
    epochs: int = 12,
) -> Plan:
    """`mnist_dcgan` at 16x16 with a quarter of its channels; PyTorch's own weights, if asked."""
    images = open_images(data, size=16, channels=1)
    start = init_glorot if init == "glorot" else (lambda net: net)
    model = GAN(
        start(DCGenerator(100, images.shape, channels=32)),
        start(Critic(images.shape, channels=(32, 32), slope=0.2, dropout=0.4)),
        loss=NonSaturating(),
        gamma=constant(gamma) if gamma else None,
    )
    betas = (0.5, 0.999)
    optim = {"critic": Adam(critic_lr, betas), "generator": Adam(lr, betas)}
    return Plan(model, images, optim, batch, epochs, average=5000.0)


class Bounded(MLPEncoder):
    """Its posterior stays finite, whatever its weights are."""

    def forward(self, image: Tensor) -> Tensor:
        return 10 * (super().forward(image) / 10).tanh()


@recipe
def leaping(data: str = "digits", lr: float = 0.02, batch: int = 64, epochs: int = 24) -> Plan:
    """A VAE whose learning rate leaps to `lr`, a thousandfold, for the last quarter of the run."""
    images = open_images(data, size=16, channels=1)
    model = VAE(
        Bounded(images.shape, 8, (128,)),
        MLPDecoder(8, images.shape, (128,)),
        SymmetricGaussian(0.4),
    )
    adam = Adam(lr, schedule=lambda share: 1e-3 if share < 0.75 else 1.0)
    return Plan(model, images, {"vae": adam}, batch, epochs)
