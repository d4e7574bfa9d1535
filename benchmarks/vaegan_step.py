"""Steps of `vaegan` at 256x256, batch 16, against a plain rendering of the published step.

python benchmarks/vaegan_step.py [--repeats 5] [--size 256] [--batch 16]

Two processes, each with an allocator of its own, take turns of four steps, of which one penalises
our critic; the median of each and of the ratio, pair by pair, is printed. The plain rendering does
what the published script does: float32, the decoder run anew for each player, sigmoid and binary
cross-entropy, unfused Adam.
"""

import argparse
import sys

from turns import Worker, compare, serve, spread

BATCH, SIZE, LATENT = 16, 256, 128
STEPS = 4  # in which all that a step may do comes round


def plain(size: int, batch: int):
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
    of_vae, of_critic = (torch.optim.Adam(m.parameters(), 1e-4) for m in (vae, critic))
    x, one, zero = torch.rand(batch, 1, size, size), torch.ones(batch, 1), torch.zeros(batch, 1)
    bce = F.binary_cross_entropy

    def generate():
        h = encoder(x)
        m, v = mean(h), logvar(h)
        z = m + (0.5 * v).exp() * torch.randn_like(m)
        return m, v, decoder(z), decoder(torch.randn(batch, LATENT))

    def step():
        _, _, again, drawn = generate()
        loss = bce(critic(x), one)
        loss = (
            loss + 0.5 * bce(critic(again.detach()), zero) + 0.5 * bce(critic(drawn.detach()), zero)
        )
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        m, v, again, drawn = generate()
        kl = -0.5 * (1 + v - m**2 - v.exp()).sum()
        adversary = 0.5 * bce(critic(again), one) + 0.5 * bce(critic(drawn), one)
        loss = F.mse_loss(again, x, reduction="sum") + 0.5 * kl + adversary
        of_vae.zero_grad()
        loss.backward()
        of_vae.step()

    return step


def ours(size: int, batch: int):
    import tempfile
    from pathlib import Path

    import torch

    import latentia
    from latentia.training.device import keep_freed_memory
    from latentia.training.loop import Loop

    keep_freed_memory()
    images = torch.rand(4 * batch, 1, size, size)
    options = latentia.Options(validation=0.0)
    knobs = {"data": images, "size": size, "batch": batch, "latent": LATENT}
    knobs |= {"adversary_from": 0.0, "adversary_every": 1}  # in every step but the very first
    folder = Path(tempfile.mkdtemp()) / "run"
    run, plan = create_run("vaegan", knobs, {}, options, folder)
    loop = Loop(plan, run, run.options)
    return lambda: loop.train_step(loop.step_context())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--serve")
    given = parser.parse_args()
    if given.serve:
        step = {"plain": plain, "ours": ours}[given.serve](given.size, given.batch)
        serve(lambda: [step() for _ in range(STEPS)])
        return
    shape = ["--size", str(given.size), "--batch", str(given.batch)]
    kinds = ("plain", "ours")
    workers = [Worker([sys.executable, __file__, "--serve", kind, *shape]) for kind in kinds]
    found = compare(workers[0].seconds, workers[1].seconds, given.repeats)
    for worker in workers:
        worker.end()
    print(
        f"{STEPS} vaegan steps, {given.size}x{given.size}, batch {given.batch}, n = {given.repeats}"
    )
    print(f"plain: {spread(found.peer)} s\nours: {spread(found.ours)} s")
    print(f"ratio: {spread(found.ratios)}")


if __name__ == "__main__":
    main()
