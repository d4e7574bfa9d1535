"""Train the VAE of mnist_mlp_vae in plain PyTorch, on the images of a run of that recipe.

python benchmarks/plain_mlp.py runs/mnist_mlp_vae

It uses float32, torch's global generator, Adam 1e-3, batch 128, and the train and test splits of
the run. It prints the negative ELBO of both on the test images, with one posterior sample per
image.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from latentia.metrics.elbo import elbo
from latentia.runs.folder import RunFolder


class PlainVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.input, self.mean, self.logvar = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.hidden, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def loss(self, x):
        h = F.relu(self.input(x))
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        y = self.out(F.relu(self.hidden(z)))
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1)
        return F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1) + kl


def main(path: str) -> None:
    run = RunFolder.open(path)
    images, epochs = run.images(), run.metadata["arguments"]["epochs"]
    train = images.split("train").get_batch(slice(None)).image.flatten(1)
    test = images.split("test").get_batch(slice(None)).image.flatten(1)
    torch.manual_seed(run.options.seed)
    model = PlainVAE()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            model.loss(train[rows]).mean().backward()
            optimizer.step()
    with torch.no_grad():
        plain = torch.cat([model.loss(images) for images in test.split(1000)]).mean().item()
    ours = elbo(run.model(), images.split("test"))["nelbo_nats"]
    print(f"{len(train)} training, {len(test)} test images, {epochs} epochs, batch 128")
    print(f"plain PyTorch {plain:.2f} nats, {run.name} {ours:.2f} nats")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    main(parser.parse_args().run)
