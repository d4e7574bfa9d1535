"""SYSTEMS 5: the VAE-GAN for grey images of 256x256."""

from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.schedules import after, cosine, linear
from latentia.data import open_images
from latentia.engine.knobs import (
    Average,
    BatchSize,
    Beta,
    Channels,
    Data,
    Epochs,
    Latent,
    LearningRate,
    Share,
    Size,
)
from latentia.engine.optim import Adam
from latentia.engine.plan import Plan
from latentia.engine.recipe import recipe
from latentia.losses.likelihood import Gaussian
from latentia.models.vaegan import VAEGAN
from latentia.nets.vaegan import vaegan_nets

AdversarialWeight = Annotated[
    float | Literal["published"],
    Ge(0),
    Doc("its gradient as a share of the distortion's; published: 1 / batch per image"),
]


@recipe
def vaegan(
    data: Data = "vehicles",
    size: Size = 256,
    channels: Channels = 1,
    latent: Latent = 128,
    beta: Beta = 0.5,
    adversarial_weight: AdversarialWeight = 0.5,
    adversary_from: Annotated[Share, Doc("share of the run after which it joins")] = 0.75,
    adversary_every: Annotated[int, Ge(1), Doc("it acts at every so many steps")] = 2,
    average: Average = 20_000.0,
    lr: LearningRate = 1e-4,
    batch: BatchSize = 128,
    epochs: Epochs = 112,
) -> Plan:
    """The VAE-GAN; at 256x256 15,763,681 parameters in the VAE, 1,602,753 in the critic.

    Published: squared error, summed (a Gaussian of sigma^2 1/2); KL weight 0.01 to 0.5; adversary
    1 / batch per image, cosmetic. A number: the adversary's gradient at the decoder's output has so
    many times the norm of the distortion's, at each step. `--size 64 --batch 32` suits a laptop.
    """
    images = open_images(data, size=size, channels=channels)
    balance = None
    if adversarial_weight != "published":
        joined = min(adversary_from + 0.1, 1.0)
        balance = after(adversary_from, linear(0.0, adversarial_weight), until=joined)
    nets = vaegan_nets(images.shape, latent)
    model = VAEGAN(
        nets.encoder,
        nets.decoder,
        Gaussian(),
        nets.critic,
        beta=after(0.0, linear(0.02 * beta, beta), until=0.5),
        balance=balance,
        every=adversary_every if balance else 1,
    )
    critic, vae = Adam(lr, betas=(0.5, 0.999)), Adam(lr, schedule=cosine(end=0.05))
    return Plan(model, images, {"critic": critic, "vae": vae}, batch, epochs, average)
