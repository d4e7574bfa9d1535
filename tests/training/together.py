"""Run by torchrun in two processes, from test_processes.py; a law that holds prints its name."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import latentia
from latentia.api.training import start_run
from latentia.core import distributed
from latentia.core.contract import Batch, StepContext
from latentia.core.schedules import constant
from latentia.data import open_images
from latentia.diffusion.path import LinearPath
from latentia.latents.table import write_table
from latentia.losses.adversarial import NonSaturating
from latentia.losses.likelihoods import Bernoulli
from latentia.metrics.elbo import elbo
from latentia.metrics.nll import nll
from latentia.models.gan import GAN
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.models.vae import VAE
from latentia.models.vaegan import VAEGAN, PublishedObjective, RelativisticObjective
from latentia.nets import vaegan
from latentia.nets.conditioning import LabelCondition
from latentia.nets.critic import Critic
from latentia.nets.denoiser import MLPDenoiser
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.report import page
from latentia.training.events import Finding
from latentia.training.launch import init_distributed
from latentia.training.loop import Loop

vaegan.CHANNELS, vaegan.UP_CHANNELS = (4, 4, 8, 8, 8), (8, 8, 8, 4, 4)
SHAPE, D, N = (1, 4, 5), 3, 8
LOOPS: list[Loop] = []


def nets():
    return MLPEncoder(SHAPE, D, (8,)), MLPDecoder(D, SHAPE, (8,)), Bernoulli()


class Generator(MLPDecoder):
    latent_shape = (D,)


def diffusion():
    condition = LabelCondition(4, 16)
    denoiser = MLPDenoiser((D,), width=16, depth=1)
    return LatentDiffusion(VAE(*nets()), denoiser, LinearPath(), condition, column="label")


def gan():
    critic = Critic(SHAPE, (4,))
    return GAN(Generator(D, SHAPE, (8,)), critic, NonSaturating(), gamma=constant(1.0))


def looked_at():
    """A VAE-GAN of reconstructions alone, drawn to the critic's features."""
    objective = RelativisticObjective(None, constant(0.5), 1.0, gamma=0.1)
    return VAEGAN(*nets(), Critic(SHAPE, (4,)), objective)


MODELS = {
    "VAE": lambda: VAE(*nets()),
    "GAN": gan,
    "VAE-GAN": lambda: VAEGAN(*nets(), Critic(SHAPE, (4,)), PublishedObjective()),
    "features": looked_at,
    "latent diffusion": diffusion,
}


def gradients(model, batch, first):
    """Each player's, as the loop computes them, of these rows of the global batch."""
    moment = StepContext(3, 10, 0, 100, first, N)
    shared, found = model.shared(batch, moment), []
    for player in model.players().values():
        terms = player.terms(batch, moment, shared).values()
        loss = sum(weight * value.mean() for weight, value, _ in terms)
        found += torch.autograd.grad(loss, list(player.module.parameters()), retain_graph=True)
    return found


def same_gradients(make):
    """Averaged over processes: those of one process with the whole batch."""
    torch.manual_seed(0)
    model = make().double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images, labels = torch.rand(N, *SHAPE).double(), torch.arange(N) % 4
    first = N // 2 * distributed.rank()
    own = slice(first, first + N // 2)
    parts = gradients(model, Batch(images[own], {"label": labels[own]}), first)
    distributed.all_reduce_mean(parts)
    several = distributed.world_size
    distributed.world_size = lambda: 1
    try:
        whole = gradients(model, Batch(images, {"label": labels}), 0)
    finally:
        distributed.world_size = several
    assert max(part.abs().max() for part in whole) > 1e-3
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)


def same_bits(folder, recipe, **knobs):
    """50 steps by both; then every tensor of both is the same."""
    images = np.random.default_rng(0).integers(0, 256, (450, 20, 20), dtype=np.uint8)
    options = latentia.Options(validation=1 / 8)
    knobs = {"data": images, "batch": 14, "epochs": 2, **knobs}
    latentia.train(recipe, run=folder, options=options, **knobs)
    loop = LOOPS[-1]
    assert loop.state.step == 50, loop.state.step
    assert len(set(distributed.all_gather_objects(digest(loop.plan.model)))) == 1


def digest(model):
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def same_skip(folder):
    """Step 7 is not finite in the second process alone: both leave it, and go on as one."""
    images = np.random.default_rng(0).integers(0, 256, (100, 20, 20), dtype=np.uint8)
    options = latentia.Options(validation=1 / 8, save_every=5)
    honest, step, seen, trail = VAE.terms, Loop.train_step, [], []

    def poisoned(self, batch, moment, shared=None):
        terms = honest(self, batch, moment, shared)
        seen.append(moment.step)
        if (
            distributed.rank() and moment.step == 7 and seen.count(7) <= 2
        ):  # once more to explain it
            value = terms["rate"].value
            bad = torch.where(torch.arange(len(value)) == 2, torch.nan, value)
            terms["rate"] = terms["rate"]._replace(value=bad)
        return terms

    def followed(self, moment):
        found = step(self, moment)
        trail.append((moment.step, self.state.lr_scale, digest(self.plan.model)))
        return found

    VAE.terms, Loop.train_step = poisoned, followed
    try:
        knobs = {"data": images, "batch": 14, "epochs": 2, "hidden": 8, "latent": 3}
        _, events = start_run("mnist_mlp_vae", knobs, options=options, run=folder)
        findings = [each.text for each in events if isinstance(each, Finding)]
    finally:
        VAE.terms, Loop.train_step = honest, step
    assert "rate is not finite in 1 of 7 images (rows 9)" in findings[0], findings
    assert [(at, scale) for at, scale, _ in trail] == [
        *((at, 1.0) for at in range(7)),
        *((at, 0.5) for at in range(5, 10)),
    ]
    assert len({tuple(each) for each in distributed.all_gather_objects(trail)}) == 1


def same_figures(folder):
    """A table, an ELBO and a likelihood: the bits of one process, and each did its part of it."""
    images = np.random.default_rng(0).integers(0, 256, (1100, 20, 20), dtype=np.uint8)
    part = open_images(images).split("all")
    torch.manual_seed(0)
    shape = (1, 20, 20)
    model = VAE(MLPEncoder(shape, D, (8,)), MLPDecoder(D, shape, (8,)), Bernoulli()).eval()
    model.requires_grad_(False)
    encode, seen = model.encode, []
    model.encode = lambda given: seen.append(len(given)) or encode(given)

    def measured(name):
        path = folder / f"{name}.parquet"
        write_table(path, model, part)
        return path, elbo(model, part), nll(model, part, k=3, n=7).tolist()

    several = measured("several")
    assert sum(seen) < 2000, seen  # of 3,307: once for the table, twice for the ELBO, 7 images more
    name = f"single-{distributed.rank()}"
    with distributed.local_only():
        single = measured(name)
    assert several[1:] == single[1:]
    distributed.barrier()
    assert several[0].read_bytes() == single[0].read_bytes()


def main() -> None:
    folder = Path(sys.argv[1])
    keep = Loop.__init__

    def noted(self, *given):
        LOOPS.append(self)
        keep(self, *given)

    Loop.__init__ = noted
    with init_distributed():
        assert distributed.world_size() == 2
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
        laws |= {"skip": lambda: same_skip(folder / "skip"), "share": lambda: same_figures(folder)}
        for name, law in laws.items():
            law()
            if name == "bits: VAE":  # one report by the first of several is enough
                page.write_report = lambda *_: None
            if distributed.rank() == 0:
                print("holds", name, flush=True)


if __name__ == "__main__":
    main()
