"""Hierarchical VAE of images of any shape, whose latents below the top level are maps."""

from typing import Annotated

from annotated_types import Ge

from latentia.core.schedules import cosine, delayed, linear
from latentia.data import open_images
from latentia.losses.likelihoods import create_likelihood
from latentia.models.hvae import HVAE
from latentia.nets.image_ladder import (
    ImageLadderDecoder,
    ImageLadderEncoder,
    LadderArchitecture,
)
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types

WARMUP = 0.3  # share of the run after which the rate has its full weight, at all levels
LOWER_WEIGHT = 20.0  # additional weight of the rate of lower levels at the start, in units of beta


@recipe
def image_hvae(
    data: types.Data = "vehicles",
    size: types.Size = None,
    channels: types.Channels = None,
    levels: Annotated[int, Ge(1)] = 4,
    latent: Annotated[int, Ge(1)] = 32,
    maps: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(1)] = 32,
    likelihood: types.LikelihoodName = "auto",
    beta: types.Beta = 1.0,
    average: types.Average = 100_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 64,
    epochs: types.Epochs = 30,
) -> Plan:
    """Hierarchical VAE of images of any shape: a vector of latents, then maps of latents.

    Top-down inference (Sønderby et al. 2016, arXiv 1602.02282; Child 2021, arXiv 2011.10650).
    The maps have the image's proportions and sides of at most 4, 8 and 16 pixels. With fewer levels
    the finest maps are left out; with more, several levels share a resolution. The weight of the
    rate rises from 0 to beta over the first 30 % of the run. Until then the levels below the top
    have a second weight, which falls from 20 times beta to 0, so that the top level learns first.

    Parameters
    ----------
    levels
        number of levels, at least 1: a vector on top, then maps, from coarse to fine
    latent
        number of latent dimensions of the top level, at least 1: the coordinates
    maps
        number of maps of latents of each level below the top, at least 1
    width
        number of channels of the layers, at least 1
    """
    images = open_images(data, size=size, channels=channels)
    distribution = create_likelihood(likelihood, images)
    sizes = LadderArchitecture(images.shape, latent, maps, levels, width)
    output_channels = distribution.output_shape(images.shape)[0]
    encoder, decoder = ImageLadderEncoder(sizes), ImageLadderDecoder(sizes, output_channels)
    beta_schedule = delayed(0.0, linear(0.0, beta), until=WARMUP)
    # without it the many latents of the maps learn all, and the top level nearly nothing
    lower_weight = delayed(0.0, linear(LOWER_WEIGHT * beta, 0.0), until=WARMUP)
    more = (lower_weight,) if levels > 1 else ()
    model = HVAE(encoder, decoder, distribution, beta_schedule, *more)
    adam = Adam(lr, weight_decay=0.01, schedule=cosine(warmup=0.02))
    notes = distribution.notes
    return Plan(model, images, {"vae": adam}, batch, epochs, average=average, notes=notes)
