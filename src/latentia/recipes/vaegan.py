"""SYSTEMS 5: the VAE-GAN for grey images of 256x256."""

from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.schedules import cosine, delayed, linear, ramp_from
from latentia.data import open_images
from latentia.losses.likelihoods import Gaussian
from latentia.models.vaegan import VAEGAN
from latentia.nets.vaegan import BATCH_STATISTICS_NORM, make_vaegan_networks
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import (
    Average,
    BatchSize,
    Beta,
    Channels,
    Data,
    Epochs,
    Fraction,
    Latent,
    LearningRate,
    Size,
)
from latentia.training.plan import Plan
from latentia.training.registries import recipe

AdversarialWeight = Annotated[
    float | Literal["published"],
    Ge(0),
    Doc(
        "its gradient as a share of the distortion's, 0: no critic; published: 1 / batch per "
        "image, and the other knobs of the critic say nothing"
    ),
]
FeatureWeight = Annotated[float, Ge(0), Doc("the same, of the critic's features")]
StartShare = Annotated[Fraction, Doc("share of the run after which it joins")]
StepInterval = Annotated[int, Ge(1), Doc("it acts at every so many steps")]
ReconstructionShare = Annotated[
    Fraction, Doc("share of its weight on reconstructions; the rest is on samples")
]
PenaltyWeight = Annotated[float, Ge(0), Doc("weight of the critic's penalties")]


@recipe
def vaegan(
    data: Data = "vehicles",
    size: Size = 256,
    channels: Channels = 1,
    latent: Latent = 128,
    beta: Beta = 0.5,
    adversarial_weight: AdversarialWeight = 1.0,
    feature_weight: FeatureWeight = 1.0,
    adversary_from: StartShare = 0.75,
    adversary_every: StepInterval = 4,
    reconstructions: ReconstructionShare = 1.0,
    gamma: PenaltyWeight = 0.003,
    average: Average = 20_000.0,
    lr: LearningRate = 1e-4,
    batch: BatchSize = 128,
    epochs: Epochs = 112,
) -> Plan:
    """The VAE-GAN; at 256x256 15,763,681 parameters in the VAE, 1,602,753 in the published critic.

    Published: squared error, summed (Gaussian, sigma^2 1/2); KL weight 0.01 to 0.5; adversary 1 /
    batch per image, cosmetic. A number: its gradient at the decoder's output over the distortion's,
    of a critic without norms, of pairs (docs/vaegan.md). `--size 64 --batch 32` suits a laptop.
    """
    images = open_images(data, size=size, channels=channels)
    is_published = adversarial_weight == "published"
    nets = make_vaegan_networks(
        images.shape, latent, critic_norm=BATCH_STATISTICS_NORM if is_published else None
    )
    beta_schedule = delayed(0.0, linear(0.02 * beta, beta), until=0.5)
    components = nets.encoder, nets.decoder, Gaussian(), nets.critic, beta_schedule
    adam = {"critic": Adam(lr, betas=(0.5, 0.999)), "vae": Adam(lr, schedule=cosine(end=0.05))}
    if is_published:
        return Plan(VAEGAN(*components, balance=None), images, adam, batch, epochs, average)
    balance = ramp_from(adversary_from, adversarial_weight)
    objective_params = {"pairs": True, "gamma": gamma or None, "look": True}
    objective_params["matching"] = (
        ramp_from(adversary_from, feature_weight) if feature_weight else None
    )
    model = VAEGAN(*components, balance, reconstructions, adversary_every, **objective_params)
    adam["critic"] = Adam(2 * lr, betas=(0.5, 0.99))
    return Plan(model, images, adam, batch, epochs, average)
