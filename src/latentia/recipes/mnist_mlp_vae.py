"""VAE of MNIST with one hidden layer."""

from latentia.core.schedules import constant
from latentia.data import open_images
from latentia.losses.likelihoods import Bernoulli
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def mnist_mlp_vae(
    data: types.Data = "mnist",
    latent: types.Latent = 20,
    hidden: types.Hidden = 400,
    beta: types.Beta = 1.0,
    lr: types.LearningRate = 1e-3,
    batch: types.BatchSize = 128,
    epochs: types.Epochs = 10,
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
