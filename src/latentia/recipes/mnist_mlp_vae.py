"""VAE of MNIST with one hidden layer."""

from latentia.core.schedules import constant
from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import (
    BatchSize,
    Beta,
    Data,
    Epochs,
    Hidden,
    Latent,
    LearningRate,
)
from latentia.training.plan import Plan
from latentia.training.registries import recipe


@recipe
def mnist_mlp_vae(
    data: Data = "mnist",
    latent: Latent = 20,
    hidden: Hidden = 400,
    beta: Beta = 1.0,
    lr: LearningRate = 1e-3,
    batch: BatchSize = 128,
    epochs: Epochs = 10,
) -> Plan:
    """VAE of MNIST with one hidden layer: 784-400-20-400-784, Bernoulli; 652,824 parameters.

    Kingma & Welling 2014, arXiv 1312.6114.
    Expect: 105.8 nats on the 10,000 test images (n = 1; 55,000 training images, 10 epochs). Plain
    PyTorch gives 105.7 on the same images: benchmarks/plain_mlp.py.
    """
    images = open_images(data, size=28, channels=1)
    model = VAE(
        encoder=MLPEncoder(images.shape, latent, hidden=(hidden,)),
        decoder=MLPDecoder(latent, images.shape, hidden=(hidden,)),
        likelihood=Bernoulli(),
        beta=constant(beta),
    )
    return Plan(model, images, optim={"vae": Adam(lr)}, batch=batch, epochs=epochs)
