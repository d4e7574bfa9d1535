"""Works that are measured against each other, each served in a process of its own.

PYTHON benchmarks/peers.py WORK IMAGES.npz

IMAGES.npz holds `train`, uint8 (60000, 1, 28, 28). A work is one epoch over them unless it says
otherwise. Peers are written as their authors' users write them.
"""

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from turns import serve

Work = Callable[[], object]
MLP_COUNT, CONV_COUNT = 652_824, 424_480 + 108_993


def example(images: np.ndarray) -> Work:
    """The usual example program: PIL images through a DataLoader, sigmoid and BCE, plain Adam."""
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
    """Ten epochs of the example program; prints its nats on the test images, as it does itself."""
    epoch = example(images)
    for number in range(10):
        print(f"epoch {number + 1}: {epoch():.2f} nats on the training images")


def pythae_mlp(images: np.ndarray) -> Work:
    """pythae's own training step over an epoch, with the same network."""
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

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    assert sum(p.numel() for p in model.parameters()) == MLP_COUNT
    how = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        learning_rate=1e-3,
        per_device_train_batch_size=128,
        no_cuda=True,
    )
    x = torch.from_numpy(images).float() / 255
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=how)
    trainer.prepare_training()
    return lambda: trainer.train_step(1)


def plain_conv(images: np.ndarray) -> Work:
    """The convolutional VAE in plain PyTorch, float32, images resident."""
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

    draw = keras.random.SeedGenerator(0)

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            deeper = {"strides": 2, "padding": "same", "activation": "relu"}
            self.encoder = keras.Sequential([
                layers.Input((28, 28, 1)), layers.Conv2D(32, 3, **deeper),
                layers.Conv2D(64, 3, **deeper), layers.Flatten(),
                layers.Dense(128, activation="relu"), layers.Dense(32),
            ])  # fmt: skip
            self.decoder = keras.Sequential([
                layers.Input((16,)), layers.Dense(64 * 7 * 7, activation="relu"),
                layers.Reshape((7, 7, 64)), layers.Conv2DTranspose(64, 3, **deeper),
                layers.Conv2DTranspose(32, 3, **deeper),
                layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid"),
            ])  # fmt: skip

        def call(self, x):
            mu, logvar = ops.split(self.encoder(x), 2, axis=1)
            z = mu + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mu), seed=draw)
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


def loop_of(recipe: str, images: np.ndarray):
    """A recipe at its defaults, batch 128, on these images, ready to step."""
    import latentia
    from latentia.training.device import keep_freed_memory
    from latentia.training.loop import Loop

    keep_freed_memory()
    options = latentia.Options(validation=0.0)
    knobs = {"data": images, "batch": 128, "epochs": 1000}
    run, plan = create_run(recipe, knobs, {}, options, Path(tempfile.mkdtemp()) / "run")
    return Loop(plan, run, run.options)


def ours(recipe: str) -> Callable[[np.ndarray], Work]:
    """An epoch of a recipe as `latentia train` takes it, its log and its saves included."""

    def start(images: np.ndarray) -> Work:
        loop, never = loop_of(recipe, images), threading.Event()

        def epoch() -> None:
            for _ in range(loop.steps_per_epoch):
                for _ in loop.advance(loop.step_context(), never):
                    pass

        return epoch

    return start


def coding(table: bool) -> Callable[[np.ndarray], Work]:
    """10,000 images through mnist_conv_vae: `encode`'s whole table, or the forward pass alone."""

    def start(images: np.ndarray) -> Work:
        import torch

        import latentia
        from latentia.latents.encoding import MAX_BATCH_SIZE
        from latentia.latents.table import write_table

        folder = Path(tempfile.mkdtemp())
        options = latentia.Options(validation=0.0)
        knobs = {"data": images[:10_000]}
        _, plan = create_run("mnist_conv_vae", knobs, {}, options, folder / "run")
        model, part = plan.model.eval(), plan.images.split("all")
        resident = part.batch(slice(None)).image.split(part.at_once(MAX_BATCH_SIZE))

        @torch.no_grad()
        def forward() -> None:
            for x in resident:
                posterior = model.encode(x)  # pyright: ignore
                posterior.kl(), model.distortion(posterior.mean, x)  # pyright: ignore

        return (lambda: write_table(folder / "t.parquet", model, part)) if table else forward  # pyright: ignore

    return start


WORKS: dict[str, Callable[[np.ndarray], Work]] = {
    "example": example,
    "pythae-mlp": pythae_mlp,
    "plain-conv": plain_conv,
    "keras-conv": keras_conv,
    "ours-mlp": ours("mnist_mlp_vae"),
    "ours-conv": ours("mnist_conv_vae"),
    "forward": coding(table=False),
    "encode": coding(table=True),
}


if __name__ == "__main__":
    name, path = sys.argv[1:]
    with np.load(path) as held:
        given = held["train"]
    if name == "example-10":
        example_10(given)
    else:
        serve(WORKS[name](given))
