"""Run by torchrun in two processes, from test_processes.py; a law that holds prints its name."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import latentia
from latentia.core import processes
from latentia.core.contract import Batch, Moment
from latentia.core.schedules import constant
from latentia.diffusion.path import Linear
from latentia.engine.launch import together
from latentia.engine.train import Loop
from latentia.losses.adversarial import NonSaturating
from latentia.losses.likelihood import Bernoulli
from latentia.models.gan import GAN
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.models.vae import VAE
from latentia.models.vaegan import VAEGAN
from latentia.nets.condition import LabelCondition
from latentia.nets.critic import Critic
from latentia.nets.denoiser import MLPDenoiser
from latentia.nets.mlp import MLPDecoder, MLPEncoder

SHAPE, D, N = (1, 4, 5), 3, 8
LOOPS: list[Loop] = []


def nets():
    return MLPEncoder(SHAPE, D, (8,)), MLPDecoder(D, SHAPE, (8,)), Bernoulli()


class Generator(MLPDecoder):
    latent_shape = (D,)


def diffusion():
    condition = LabelCondition(4, 16)
    denoiser = MLPDenoiser((D,), width=16, depth=1)
    return LatentDiffusion(VAE(*nets()), denoiser, Linear(), condition, column="label")


def gan():
    critic = Critic(SHAPE, (4,))
    return GAN(Generator(D, SHAPE, (8,)), critic, NonSaturating(), gamma=constant(1.0))


MODELS = {
    "VAE": lambda: VAE(*nets()),
    "GAN": gan,
    "VAE-GAN": lambda: VAEGAN(*nets(), Critic(SHAPE, (4,))),
    "latent diffusion": diffusion,
}


def gradients(model, batch, first):
    """Each player's, as the loop computes them, of these rows of the global batch."""
    moment = Moment(3, 10, 0, 100, first, N)
    shared, found = model.shared(batch, moment), []
    for player in model.players().values():
        terms = player.terms(batch, moment, shared).values()
        loss = sum(weight * value.mean() for weight, value in terms)
        found += torch.autograd.grad(loss, list(player.module.parameters()), retain_graph=True)
    return found


def same_gradients(make):
    """Averaged over processes: those of one process with the whole batch."""
    torch.manual_seed(0)
    model = make().double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images, labels = torch.rand(N, *SHAPE).double(), torch.arange(N) % 4
    first = N // 2 * processes.rank()
    own = slice(first, first + N // 2)
    parts = gradients(model, Batch(images[own], {"label": labels[own]}), first)
    processes.average(parts)
    several = processes.size
    processes.size = lambda: 1
    try:
        whole = gradients(model, Batch(images, {"label": labels}), 0)
    finally:
        processes.size = several
    assert max(part.abs().max() for part in whole) > 1e-3
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)


def same_bits(folder, recipe, **knobs):
    """50 steps by both; then every tensor of both is the same."""
    images = np.random.default_rng(0).integers(0, 256, (100, 20, 20), dtype=np.uint8)
    options = latentia.Options(validation=1 / 8)
    knobs = {"data": images, "batch": 14, "epochs": 10, **knobs}
    latentia.train(recipe, run=folder, options=options, **knobs)
    loop = LOOPS[-1]
    assert loop.state.step == 50, loop.state.step
    digest = hashlib.sha256()
    for name, tensor in sorted(loop.plan.model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    assert len(set(processes.gathered(digest.hexdigest()))) == 1


def main() -> None:
    folder = Path(sys.argv[1])
    keep = Loop.__init__

    def noted(self, *given):
        LOOPS.append(self)
        keep(self, *given)

    Loop.__init__ = noted
    with together():
        assert processes.size() == 2
        laws = {
            f"gradients: {k}": lambda make=make: same_gradients(make) for k, make in MODELS.items()
        }
        mlp = {"hidden": 8, "latent": 3}
        laws |= {
            "bits: VAE": lambda: same_bits(folder / "vae", "mnist_mlp_vae", **mlp),
            "bits: VAE-GAN": lambda: same_bits(
                folder / "vaegan", "vaegan", size=20, latent=3, adversary_from=0.1
            ),
            "bits: latent diffusion": lambda: same_bits(
                folder / "prior", "latent_prior", autoencoder=folder / "vae", width=16, depth=1
            ),
        }
        for name, law in laws.items():
            law()
            if processes.rank() == 0:
                print("holds", name, flush=True)


if __name__ == "__main__":
    main()
