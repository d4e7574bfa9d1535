"""Pieces of work that benchmarks/speed.py compares, each served in a process of its own.

PYTHON benchmarks/peers.py WORK IMAGES.npz

IMAGES.npz holds `train`, uint8 (60000, 1, 28, 28). A piece of work is one epoch over these images
unless its docstring says otherwise. The code of each peer follows that peer's own examples.
"""

import argparse
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from turns import serve

Precision = Literal["auto", "bf16", "fp32"]
Work = Callable[[], object]
MLP_COUNT, CONV_COUNT = 652_824, 424_480 + 108_993


def example(images: np.ndarray) -> Work:
    """The usual example program: PIL images in a DataLoader, sigmoid and cross-entropy, Adam."""
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Pictures(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> torch.Tensor:
            picture = Image.fromarray(images[index, 0])
            return torch.from_numpy(np.array(picture))[None].float().div(255)

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc21, self.fc22 = (
                nn.Linear(784, 400),
                nn.Linear(400, 20),
                nn.Linear(400, 20),
            )
            self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, x):
            h = F.relu(self.fc1(x.view(-1, 784)))
            mu, logvar = self.fc21(h), self.fc22(h)
            z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

    torch.manual_seed(1)
    model = VAE()
    assert sum(p.numel() for p in model.parameters()) == MLP_COUNT
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Pictures(), batch_size=128, shuffle=True)

    def epoch() -> float:
        model.train()
        total = 0.0
        for x in loader:
            optimizer.zero_grad()
            y, mu, logvar = model(x)
            bce = F.binary_cross_entropy(y, x.view(-1, 784), reduction="sum")
            loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()
        return total / len(images)

    return epoch


def example_10(images: np.ndarray) -> None:
    """Run ten epochs of the example program, which prints its loss as the original does."""
    epoch = example(images)
    for number in range(10):
        print(f"epoch {number + 1}: {epoch():.2f} nats on the training images")


def pythae_mlp(images: np.ndarray) -> Work:
    """An epoch of pythae's own training step, with the same network."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(784, 400), nn.ReLU())
            self.mean, self.logvar = nn.Linear(400, 20), nn.Linear(400, 20)

        def forward(self, x):
            h = self.body(x.flatten(1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.logvar(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
            )

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z).unflatten(1, (1, 28, 28)))

    vae_config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    model = VAE(vae_config, encoder=Encoder(), decoder=Decoder())
    assert sum(p.numel() for p in model.parameters()) == MLP_COUNT
    settings = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        learning_rate=1e-3,
        per_device_train_batch_size=128,
        no_cuda=True,
    )
    x = torch.from_numpy(images).float() / 255
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=settings)
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def plain_conv(images: np.ndarray) -> Work:
    """The convolutional VAE in plain PyTorch, float32, with all images in memory."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 32),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(16, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, 2, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    weights = [*encoder.parameters(), *decoder.parameters()]
    assert sum(p.numel() for p in weights) == CONV_COUNT
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    resident = torch.from_numpy(images).float() / 255

    def epoch() -> None:
        for rows in torch.randperm(len(resident)).split(128):
            x = resident[rows]
            mu, logvar = encoder(x).chunk(2, 1)
            y = decoder(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar))
            kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()
            loss = (F.binary_cross_entropy(y, x, reduction="sum") + kl) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def keras_conv(images: np.ndarray) -> Work:
    """The convolutional VAE in Keras on TensorFlow, compiled by `fit`."""
    import keras
    from keras import layers, ops

    noise_seed = keras.random.SeedGenerator(0)

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            strided = {"strides": 2, "padding": "same", "activation": "relu"}
            self.encoder = keras.Sequential([
                layers.Input((28, 28, 1)), layers.Conv2D(32, 3, **strided),
                layers.Conv2D(64, 3, **strided), layers.Flatten(),
                layers.Dense(128, activation="relu"), layers.Dense(32),
            ])  # fmt: skip
            self.decoder = keras.Sequential([
                layers.Input((16,)), layers.Dense(64 * 7 * 7, activation="relu"),
                layers.Reshape((7, 7, 64)), layers.Conv2DTranspose(64, 3, **strided),
                layers.Conv2DTranspose(32, 3, **strided),
                layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid"),
            ])  # fmt: skip

        def call(self, x):
            mu, logvar = ops.split(self.encoder(x), 2, axis=1)
            z = mu + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mu), seed=noise_seed)
            kl = -0.5 * ops.sum(1 + logvar - ops.square(mu) - ops.exp(logvar), axis=1)
            self.add_loss(ops.mean(kl))
            return self.decoder(z)

    def bce(x, y):
        return ops.sum(keras.losses.binary_crossentropy(x, y), axis=(1, 2))

    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=bce)
    x = (images.astype(np.float32) / 255).transpose(0, 2, 3, 1)
    model(x[:2])
    assert model.count_params() == CONV_COUNT
    return lambda: model.fit(x, x, batch_size=128, epochs=1, verbose=0)


def make_loop(recipe: str, images: np.ndarray, precision: Precision, **knobs: Any):
    """Return the training loop of a recipe at its defaults, batch 128, on these images."""
    import latentia
    from latentia.runs.create import create_run
    from latentia.training.device import keep_freed_memory
    from latentia.training.loop import Loop

    keep_freed_memory()
    options = latentia.Options(validation=0.0, precision=precision)
    parameters = {"data": images, "batch": 128, "epochs": 1000, **knobs}
    run, plan = create_run(recipe, parameters, {}, options, Path(tempfile.mkdtemp()) / "run")
    return Loop(plan, run, run.options)


def train_epoch(recipe: str, images: np.ndarray, precision: Precision) -> Work:
    """An epoch of a recipe as `latentia train` runs it, with its log and its saves."""
    loop, stop_event = make_loop(recipe, images, precision), threading.Event()

    def epoch() -> None:
        for _ in range(loop.steps_per_epoch):
            for _ in loop.advance(loop.step_context(), stop_event):
                pass

    return epoch


def encode_images(table: bool, recipe: str = "mnist_conv_vae") -> Callable[[np.ndarray], Work]:
    """Encode 10,000 images with a recipe: the table of `encode`, or the forward pass only."""

    def start(images: np.ndarray) -> Work:
        import torch

        import latentia
        from latentia.latents.encoding import MAX_BATCH_SIZE
        from latentia.latents.table import write_table
        from latentia.runs.create import create_run

        folder = Path(tempfile.mkdtemp())
        options = latentia.Options(validation=0.0, precision="fp32")
        parameters = {"data": images[:10_000]}
        _, plan = create_run(recipe, parameters, {}, options, folder / "run")
        model, split = plan.model.eval(), plan.images.split("all")
        batches = split.get_batch(slice(None)).image.split(split.max_batch_size(MAX_BATCH_SIZE))

        @torch.no_grad()
        def forward() -> None:
            for x in batches:
                posterior = model.encode(x)  # pyright: ignore
                posterior.kl(), model.distortion(posterior.mean, x)  # pyright: ignore

        return (lambda: write_table(folder / "t.parquet", model, split)) if table else forward  # pyright: ignore

    return start


WORKS: dict[str, Callable[[np.ndarray], Work]] = {
    "example": example,
    "pythae-mlp": pythae_mlp,
    "plain-conv": plain_conv,
    "keras-conv": keras_conv,
    "forward": encode_images(table=False),
    "encode": encode_images(table=True),
}
RECIPES = {"latentia-mlp": "mnist_mlp_vae", "latentia-conv": "mnist_conv_vae"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=[*WORKS, *RECIPES, "example-10"])
    parser.add_argument("images", metavar="IMAGES.npz")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="fp32")
    args = parser.parse_args()
    with np.load(args.images) as arrays:
        train = arrays["train"]
    if args.work == "example-10":
        example_10(train)
    elif args.work in RECIPES:
        serve(train_epoch(RECIPES[args.work], train, args.precision))
    else:
        serve(WORKS[args.work](train))
