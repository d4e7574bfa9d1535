"""VAE-GAN for images of 256x256, with the published loss or with relativistic pairs."""

from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.schedules import cosine, delayed, linear, ramp_from
from latentia.data import open_images
from latentia.losses.likelihoods import Gaussian
from latentia.models.vaegan import VAEGAN, PublishedObjective, RelativisticObjective
from latentia.nets.vaegan import BATCH_STATISTICS_NORM, make_vaegan_networks
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def vaegan(
    data: types.Data = "vehicles",
    size: types.Size = 256,
    channels: types.Channels = None,
    latent: types.Latent = 128,
    beta: types.Beta = 0.5,
    adversarial_weight: Annotated[float | Literal["published"], Ge(0)] = 1.0,
    feature_weight: types.FeatureWeight = 1.0,
    adversary_from: types.AdversaryFrom = 0.75,
    adversary_every: Annotated[int, Ge(1)] = 4,
    reconstructions: types.Fraction = 1.0,
    gamma: Annotated[float, Ge(0)] = 0.003,
    average: types.Average = 20_000.0,
    lr: types.LearningRate = 1e-4,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 112,
) -> Plan:
    """VAE-GAN (Larsen et al. 2016, arXiv 1512.09300), with relativistic pairs (Huang et al. 2024).

    At 256x256 15,763,681 parameters in the VAE, 1,600,769 in the critic (1,602,753 in the published
    one, which has BatchNorm). `--adversarial-weight published`: summed squared error (a Gaussian of
    sigma^2 = 1/2) and an adversarial weight of 1 / batch per image. A number sets the ratio of the
    gradients (docs/benchmarks/vaegan.md). `--size 64 --batch 32` suits a laptop.

    Parameters
    ----------
    adversarial_weight
        ratio of the adversarial term's gradient to the distortion's, at least 0; 0 trains no
        critic; published weights the term by 1 / batch, and no other option of the critic counts
    adversary_every
        number of steps from one with the critic to the next
    reconstructions
        weight, 0 to 1, of reconstructions among the critic's fakes, against samples
    gamma
        weight of the critic's gradient penalties; 0 leaves them out
    """
    images = open_images(data, size=size, channels=channels)
    published = adversarial_weight == "published"
    norm = BATCH_STATISTICS_NORM if published else None
    nets = make_vaegan_networks(images.shape, latent, critic_norm=norm)
    if published:
        objective, critic_adam = PublishedObjective(), Adam(lr, betas=(0.5, 0.999))
    else:
        matching = ramp_from(adversary_from, feature_weight) if feature_weight else None
        terms = ramp_from(adversary_from, adversarial_weight), matching, reconstructions
        objective = RelativisticObjective(*terms, critic_interval=adversary_every, gamma=gamma)
        critic_adam = Adam(2 * lr, betas=(0.5, 0.99))
    warmup = delayed(0.0, linear(0.02 * beta, beta), until=0.5)
    model = VAEGAN(nets.encoder, nets.decoder, Gaussian(), nets.critic, objective, warmup)
    adam = {"critic": critic_adam, "vae": Adam(lr, schedule=cosine(end=0.05))}
    return Plan(model, images, adam, batch, epochs, average)
