"""VAE of photographs on the features of a pretrained network."""

from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.schedules import cosine
from latentia.data import Images, open_images
from latentia.losses.likelihoods import create_likelihood
from latentia.models.image_sample import mark_missing
from latentia.models.joint_pca import check_differences
from latentia.models.photo_vae import FEATURE_AXES, PhotoVAE
from latentia.models.pretrained_features import SOURCE, load_network
from latentia.nets.principal import PrincipalDecoder, PrincipalEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def photo_vae(
    data: types.Data = "vehicles",
    size: types.Size = None,
    channels: types.Channels = None,
    latent: types.Latent = 64,
    features: Literal["efficientnet", "none"] = "efficientnet",
    weight: Annotated[float | None, Ge(0)] = None,
    augment: Literal["none", "flip", "shift", "flip,shift"] = "none",
    sharpen: Literal["none", "samples"] = "none",
    external_features: bool = False,
    width: Annotated[int, Ge(1)] = 16,
    likelihood: types.LikelihoodName = "auto",
    average: types.Average = 30_000.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 64,
    epochs: types.Epochs = 30,
) -> Plan:
    """VAE of photographs, whose latents carry pixels and the features of a pretrained network.

    It starts from probabilistic PCA (Tipping & Bishop 1999) of both, and adds residual networks.

    Parameters
    ----------
    features
        what the latents carry beside the pixels: efficientnet for the features of a pretrained
        network (needs latentia[photos]), none for images unlike photographs
    weight
        weight of the features, at least 0: a larger one tells classes better and pixels worse; by
        default as large as a squared error of 1.15 times that of pixel PCA allows
    augment
        what training also shows: flip for mirrored images, not of digits or text; shift for images
        shifted by at most 3 pixels
    sharpen
        samples: a second network, taught by a critic, adds fine details to drawn images; none:
        there is no such network; latents and reconstructions are the same with both
    external_features
        leave the pretrained network out of the run folder (13 MB), which then needs its package
    width
        width of the layers, at least 1
    """
    images = open_images(data, size=size, channels=channels)
    distribution = create_likelihood(likelihood, images)
    weight, n_axes = (0.0, 0) if features == "none" else (weight, FEATURE_AXES)
    notes = check_photographs(images, batch, n_axes > 0, external_features) + distribution.notes
    model = PhotoVAE(
        encoder=PrincipalEncoder(images.shape, latent, n_axes, width),
        decoder=PrincipalDecoder(latent, images.shape, width),
        likelihood=distribution,
        weight=weight,
        flips="flip" in augment,
        shifts="shift" in augment,
        external=external_features,
    )
    if sharpen == "samples":
        model.add_sharpener()
    adam = Adam(lr, weight_decay=0.01, schedule=cosine(warmup=0.02))
    optim = dict.fromkeys(model.players(), replace(adam, betas=(0.5, 0.99))) | {"vae": adam}
    return Plan(model, images, optim, batch, epochs, average=average, notes=notes)


def check_photographs(
    images: Images, batch: int, reads_features: bool, is_external: bool
) -> list[str]:
    """Return notes to the user. Raises: Error if weights are missing, or all images are equal.

    Errors appear before a run is made; the images of a run that exists were checked.
    """
    is_external = is_external and reads_features
    if is_external or (reads_features and not images.is_recorded):
        load_network()
    if not images.is_recorded:
        check_differences(map(mark_missing, images.split("train").iterate_batches(batch)))
    return [f"This run needs the weights of a pretrained network ({SOURCE})."] * is_external
