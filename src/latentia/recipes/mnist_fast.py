"""The VAE of mnist_mlp_vae, trained in the least time."""

from dataclasses import replace

import torch

from latentia.core.schedules import triangle
from latentia.data import Images
from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae
from latentia.training import Adam, Plan, recipe
from latentia.training import parameter_types as types


@recipe
def mnist_fast(
    data: types.Data = "mnist",
    lr: types.LearningRate = 1.3e-2,
    batch: types.BatchSize = 320,
    epochs: types.Epochs = 4,
) -> Plan:
    """The VAE of mnist_mlp_vae in the least time: 784-400-20-400-784, 652,824 parameters.

    The learning rate is thirteen times the usual one; it rises over the first 15 % of the run and
    falls to 0 (Smith & Topin 2018, arXiv 1708.07120). Adam's second moment is shorter (beta 0.99).
    `--validation 0` trains on all 60,000 images.
    Expect, with it: 104.9 nats on the test images (n = 1); docs/benchmarks/speed.md has the time.
    """
    plan = mnist_mlp_vae(data, batch=batch, epochs=epochs)
    if not plan.images.is_recorded:
        last_bias = plan.model.decoder.layers[-1].bias  # pyright: ignore
        last_bias.data.copy_(_compute_mean_logits(plan.images))  # saves the first steps
    adam = Adam(lr, betas=(0.9, 0.99), schedule=triangle(warmup=0.15, power=0.8))
    return replace(plan, optim={"vae": adam})


def _compute_mean_logits(images: Images) -> torch.Tensor:
    """Logits of the mean training image, flat.

    A sum k over n images gives the probability (k + 1/2) / (n + 1), which is never 0 or 1.
    """
    split, total = images.split("train"), torch.zeros(images.shape, dtype=torch.float64)
    for batch in split.iterate_batches(split.max_batch_size()):
        total += batch.image.sum(0)
    return ((total + 0.5) / (len(split) + 1)).logit().flatten()
