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
from latentia.nets.vaegan import OF_THE_BATCH, vaegan_nets

AdversarialWeight = Annotated[
    float | Literal["published"],
    Ge(0),
    Doc(
        "its gradient as a share of the distortion's, 0: no critic; published: 1 / batch per "
        "image, and the other knobs of the critic say nothing"
    ),
]


@recipe
def vaegan(
    data: Data = "vehicles",
    size: Size = 256,
    channels: Channels = 1,
    latent: Latent = 128,
    beta: Beta = 0.5,
    adversarial_weight: AdversarialWeight = 1.0,
    feature_weight: Annotated[float, Ge(0), Doc("the same, of the critic's features")] = 1.0,
    adversary_from: Annotated[Share, Doc("share of the run after which it joins")] = 0.75,
    adversary_every: Annotated[int, Ge(1), Doc("it acts at every so many steps")] = 4,
    reconstructions: Annotated[
        Share, Doc("share of its weight that lies on reconstructions; the rest on samples")
    ] = 1.0,
    gamma: Annotated[float, Ge(0), Doc("weight of the critic's penalties")] = 0.003,
    average: Average = 20_000.0,
    lr: LearningRate = 1e-4,
    batch: BatchSize = 128,
    epochs: Epochs = 112,
) -> Plan:
    """The VAE-GAN; at 256x256 15,763,681 parameters in the VAE, 1,602,753 in the published critic.

    Published: squared error, summed (a Gaussian of sigma^2 1/2); KL weight 0.01 to 0.5; a critic
    with BatchNorm that judges images, reconstructions and samples, its weight 1 / batch per image,
    which is cosmetic: `--adversarial-weight published`. A number instead: the adversary's gradient
    at the decoder's output has so many times the norm of the distortion's, at each step that it
    acts in; its critic has no norms, learns the difference of each image and its own reconstruction
    (pairs, R1 + R2), and the VAE is drawn to its features by the same rule. docs/vaegan.md: why,
    and what it brings. `--size 64 --batch 32` suits a laptop.
    """
    images = open_images(data, size=size, channels=channels)
    published = adversarial_weight == "published"
    nets = vaegan_nets(images.shape, latent, judging=OF_THE_BATCH if published else None)
    beta_ = after(0.0, linear(0.02 * beta, beta), until=0.5)
    parts = nets.encoder, nets.decoder, Gaussian(), nets.critic, beta_
    if published:
        model = VAEGAN(*parts, balance=None)
    else:
        joined, weights = min(adversary_from + 0.1, 1.0), (adversarial_weight, feature_weight)
        balance, matching = (
            after(adversary_from, linear(0.0, weight), until=joined) for weight in weights
        )
        duel = {"pairs": True, "gamma": gamma or None, "look": True}
        duel |= {"matching": matching if feature_weight else None}
        model = VAEGAN(*parts, balance, reconstructions, adversary_every, **duel)
    critic = Adam(lr, betas=(0.5, 0.999)) if published else Adam(2 * lr, betas=(0.5, 0.99))
    adam = {"critic": critic, "vae": Adam(lr, schedule=cosine(end=0.05))}
    return Plan(model, images, adam, batch, epochs, average)
