"""A plain rendering of the MNIST lab's VAE, trained on the same images as a run of mnist_mlp_vae.

python benchmarks/plain_mlp.py runs/mnist_mlp_vae

Float32, torch's own generator, Adam 1e-3, batch 128; the run's own train and test splits. Prints
the negative ELBO of both on the test images, one draw an image.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

import latentia
from latentia.metrics.elbo import elbo


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.mean, self.logvar = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.back, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def loss(self, x):
        h = F.relu(self.enter(x))
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        y = self.out(F.relu(self.back(z)))
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1)
        return F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1) + kl


def main(path: str) -> None:
    run = latentia.Run.open(path)
    images, epochs = run.images(), run.metadata["arguments"]["epochs"]
    train = images.split("train").batch(slice(None)).image.flatten(1)
    test = images.split("test").batch(slice(None)).image.flatten(1)
    torch.manual_seed(run.options.seed)
    model = Plain()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            model.loss(train[rows]).mean().backward()
            optimizer.step()
    with torch.no_grad():
        plain = torch.cat([model.loss(part) for part in test.split(1000)]).mean().item()
    ours = elbo(run.model(), images.split("test"))["nelbo_nats"]
    print(f"{len(train)} training, {len(test)} test images, {epochs} epochs, batch 128")
    print(f"plain rendering {plain:.2f} nats, {run.name} {ours:.2f} nats")


if __name__ == "__main__":
    main(sys.argv[1])
