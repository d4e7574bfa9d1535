"""Convolutional VAE for images of any shape."""

from latentia.core.schedules import constant, cosine
from latentia.data import open_images
from latentia.losses.likelihoods import create_likelihood
from latentia.models.vae import VAE
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def conv_vae(
    data: types.Data = "digits",
    size: types.Size = None,
    channels: types.Channels = None,
    latent: types.Latent = 32,
    likelihood: types.LikelihoodName = "auto",
    beta: types.Beta = 1.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 64,
    epochs: types.Epochs = 30,
) -> Plan:
    """Convolutional VAE for images of any height, width and number of channels.

    Kingma & Welling 2014, arXiv 1312.6114. Encoder and decoder have three strided convolutions of
    32, 64 and 128 channels; 531,521 parameters for grey images of 28x28. A Gaussian pixel has the
    variance that fits best (Rybkin et al. 2021, arXiv 2006.13202).
    """
    images = open_images(data, size=size, channels=channels)
    distribution = create_likelihood(likelihood, images)
    output_shape = distribution.output_shape(images.shape)
    model = VAE(
        encoder=ConvEncoder(images.shape, latent, channels=(32, 64, 128)),
        decoder=ConvDecoder(latent, output_shape, channels=(32, 64, 128)),
        likelihood=distribution,
        beta=constant(beta),
    )
    adam = Adam(lr, schedule=cosine(warmup=0.05))
    return Plan(model, images, {"vae": adam}, batch, epochs, notes=distribution.notes)
