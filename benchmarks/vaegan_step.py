"""Compare steps of `vaegan` at 256x256, batch 16, with the published step in plain PyTorch.

python benchmarks/vaegan_step.py [--repeats 5] [--size 256] [--batch 16]

Two processes, each with its own allocator, alternate. A turn is four steps, one of which has the
gradient penalty of latentia's critic. The script prints the median of each, and of the ratio of
each pair. The plain version does what the published script does: float32, a new decoder pass for
each player, sigmoid and binary cross-entropy, unfused Adam.
"""

import argparse
import sys
from typing import Literal

from turns import Worker, compare, format_spread, serve

BATCH, SIZE, LATENT = 16, 256, 128
STEPS = 4  # one period of everything that a step may do


def make_plain_step(size: int, batch: int):
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(0)
    channels, side = (32, 64, 128, 256, 512), size // 32

    def down(slope):
        layers, before = [], 1
        for after in channels:
            layers += [
                nn.Conv2d(before, after, 3, 2, 1),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(slope),
            ]
            before = after
        return nn.Sequential(*layers, nn.Flatten())

    flat = 512 * side * side
    encoder, mean, logvar = down(0.01), nn.Linear(flat, LATENT), nn.Linear(flat, LATENT)
    up, before = [nn.Linear(LATENT, flat), nn.Unflatten(1, (512, side, side))], 512
    for after in (256, 128, 64, 32, 32):
        up += [nn.ConvTranspose2d(before, after, 3, 2, 1, 1), nn.BatchNorm2d(after), nn.LeakyReLU()]
        before = after
    decoder = nn.Sequential(*up, nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid())
    critic = nn.Sequential(down(0.2), nn.Linear(flat, 1), nn.Sigmoid())
    vae = nn.ModuleList([encoder, mean, logvar, decoder])
    count = sum(p.numel() for p in vae.parameters()), sum(p.numel() for p in critic.parameters())
    assert size != SIZE or count == (15_763_681, 1_602_753), count
    vae_optimizer, critic_optimizer = (
        torch.optim.Adam(m.parameters(), 1e-4) for m in (vae, critic)
    )
    x, one, zero = torch.rand(batch, 1, size, size), torch.ones(batch, 1), torch.zeros(batch, 1)
    bce = F.binary_cross_entropy

    def generate():
        h = encoder(x)
        m, v = mean(h), logvar(h)
        z = m + (0.5 * v).exp() * torch.randn_like(m)
        return m, v, decoder(z), decoder(torch.randn(batch, LATENT))

    def step():
        _, _, reconstruction, sample = generate()
        loss = bce(critic(x), one)
        loss = (
            loss
            + 0.5 * bce(critic(reconstruction.detach()), zero)
            + 0.5 * bce(critic(sample.detach()), zero)
        )
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        m, v, reconstruction, sample = generate()
        kl = -0.5 * (1 + v - m**2 - v.exp()).sum()
        adversary = 0.5 * bce(critic(reconstruction), one) + 0.5 * bce(critic(sample), one)
        loss = F.mse_loss(reconstruction, x, reduction="sum") + 0.5 * kl + adversary
        vae_optimizer.zero_grad()
        loss.backward()
        vae_optimizer.step()

    return step


def make_latentia_step(size: int, batch: int, precision: Literal["auto", "bf16", "fp32"]):
    import tempfile
    from pathlib import Path

    import torch

    import latentia
    from latentia.runs.create import create_run
    from latentia.training.device import keep_freed_memory
    from latentia.training.loop import Loop

    keep_freed_memory()
    images = torch.rand(4 * batch, 1, size, size)
    options = latentia.Options(validation=0.0, precision=precision)
    parameters = {"data": images, "size": size, "batch": batch, "latent": LATENT}
    parameters |= {"adversary_from": 0.0, "adversary_every": 1}  # in every step but the very first
    folder = Path(tempfile.mkdtemp()) / "run"
    run, plan = create_run("vaegan", parameters, {}, options, folder)
    loop = Loop(plan, run, run.options)
    return lambda: loop.train_step(loop.step_context())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="bf16")
    parser.add_argument("--serve")
    args = parser.parse_args()
    if args.serve:
        if args.serve == "plain":
            step = make_plain_step(args.size, args.batch)
        else:
            step = make_latentia_step(args.size, args.batch, args.precision)
        serve(lambda: [step() for _ in range(STEPS)])
        return
    shape = ["--size", str(args.size), "--batch", str(args.batch), "--precision", args.precision]
    kinds = ("plain", "latentia")
    workers = [Worker([sys.executable, __file__, "--serve", kind, *shape]) for kind in kinds]
    times = compare(workers[0].seconds, workers[1].seconds, args.repeats)
    for worker in workers:
        worker.stop()
    print(f"{STEPS} vaegan steps, {args.size}x{args.size}, batch {args.batch}, n = {args.repeats}")
    print(f"plain: {format_spread(times.peer)} s\nlatentia: {format_spread(times.ours)} s")
    print(f"ratio: {format_spread(times.ratios)}")


if __name__ == "__main__":
    main()
