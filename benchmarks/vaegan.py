"""Does the adversary matter? `vaegan` against plain VAEs of the same networks: docs/vaegan.md.

python benchmarks/vaegan.py --data mnist --size 28 --epochs 4 --seeds 0 1 2 --out runs/vg

For each seed: `vaegan`, its VAE without a critic for equal epochs, and once more for equal time:
epochs scaled by what a step costs with and without the adversary, measured in turn before the
first run, and rounded up. Reconstructions of the test images are compared: Fréchet distance in
features learned from the factors or labels, mean squared error, energy above a quarter cycle a
pixel relative to the originals', and how often the classes are still told by the network that the
features are of (originals first). Printed as a Markdown table; `--picture` draws ten originals and
what each run of the first seed makes of them.
"""

import argparse
import math
import statistics
import tempfile
from pathlib import Path

import torch
from turns import dearer

import latentia
from latentia.core.schedules import cosine, delayed, linear
from latentia.data import open_images
from latentia.losses.likelihoods import Gaussian
from latentia.metrics.distribution import frechet_distance
from latentia.metrics.label_classifier import get_label_classifier
from latentia.metrics.sharpness import high_frequency_energy
from latentia.models.vae import VAE
from latentia.models.vaegan import LAZY_INTERVAL
from latentia.nets.vaegan import make_vaegan_networks
from latentia.report.grids import save
from latentia.report.rendered_images import render_grid
from latentia.runs.create import create_run
from latentia.training.log import read_rows
from latentia.training.loop import Loop
from latentia.training.parameter_types import (
    Average,
    BatchSize,
    Beta,
    Channels,
    Data,
    Epochs,
    Latent,
    LearningRate,
    Size,
)

PLAIN = f"{__file__}:plain_vae"


@latentia.recipe
def plain_vae(
    data: Data = "vehicles",
    size: Size = 256,
    channels: Channels = 1,
    latent: Latent = 128,
    beta: Beta = 0.5,
    lr: LearningRate = 1e-4,
    batch: BatchSize = 128,
    epochs: Epochs = 112,
    average: Average = 20_000.0,
) -> latentia.Plan:
    """`vaegan` without its critic."""
    images = open_images(data, size=size, channels=channels)
    nets = make_vaegan_networks(images.shape, latent)
    schedule = delayed(0.0, linear(0.02 * beta, beta), until=0.5)
    model = VAE(nets.encoder, nets.decoder, Gaussian(), schedule)
    adam = latentia.Adam(lr, schedule=cosine(end=0.05))
    return latentia.Plan(model, images, {"vae": adam}, batch, epochs, average)


def seconds(run: latentia.Run) -> float:
    return read_rows(run.path / "timing.jsonl")[-1]["seconds"]


def cost(knobs: dict, adversary: dict, threads: int, repeats: int = 25) -> float:
    """How many plain steps an adversarial step costs: the median ratio of neighbours in time, over
    as many steps as the critic's penalty takes to come round.
    """
    loops = []
    always = adversary | {"adversary_from": 0.0, "adversary_every": 1}
    for recipe, own in ((PLAIN, {}), ("vaegan", always)):
        folder = Path(tempfile.mkdtemp()) / "run"
        options = latentia.Options(threads=threads)
        run, plan = create_run(recipe, knobs | own, {}, options, folder)
        loops.append(Loop(plan, run, run.options))
    return statistics.median(dearer(*loops, repeats, steps=LAZY_INTERVAL))


def draw(runs: list[latentia.Run], path: Path, n: int = 10) -> None:
    """Originals, then a row for each run."""
    images = runs[0].images().split("test").batch(slice(0, n)).image
    rows = [images, *(run.model().reconstruct(images) for run in runs)]  # pyright: ignore
    caption = "test images, then as reconstructed by " + ", ".join(run.name for run in runs)
    save(path, render_grid(torch.cat(rows), n, caption).encoders)


def measured(run: latentia.Run) -> tuple[float, float, float, str]:
    """Of test reconstructions: Fréchet distance, mean squared error, relative sharpness, classes
    told right.
    """
    images, model = run.images(), run.model()
    judge, test = get_label_classifier(images), images.split("test")
    originals = [batch.image for batch in test.batches(250)]
    again = [model.reconstruct(part) for part in originals]  # pyright: ignore
    distance = frechet_distance(judge.embed(originals), judge.embed(again))
    x, y = torch.cat(originals), torch.cat(again)
    sharp = high_frequency_energy(y).mean() / high_frequency_energy(x).mean()
    told = []
    for column in (name for name, classes in judge.columns.items() if classes):
        truth = test.batch(slice(None)).columns[column]
        right = [(judge.classify(z.split(250), column).argmax(1) == truth) for z in (x, y)]
        told.append(f"{column} {', '.join(f'{each.double().mean():.0%}' for each in right)}")
    return distance, (x - y).square().mean().item(), sharp.item(), "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="vehicles:2000")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--latent", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--beta", type=float, default=0.5)
    parser.add_argument("--adversarial-weight", type=float, default=1.0)
    parser.add_argument("--feature-weight", type=float, default=1.0)
    parser.add_argument("--reconstructions", type=float, default=1.0)
    parser.add_argument("--adversary-from", type=float, default=0.75)
    parser.add_argument("--adversary-every", type=int, default=4)
    parser.add_argument("--supervise", help="a label that one latent is taught, in every run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    knobs = {k: getattr(given, k) for k in ("data", "size", "batch", "latent", "lr", "beta")}
    torch.set_num_threads(given.threads)
    own = {
        k: getattr(given, k)
        for k in (
            "adversarial_weight", "feature_weight", "reconstructions", "adversary_from",
            "adversary_every",
        )
    }  # fmt: skip
    label = {"supervise": given.supervise, "supervise_dims": 1, "supervise_weight": 4.0}
    taught = {"supervise": label} if given.supervise else {}
    ratio, start = cost(knobs, own, given.threads), given.adversary_from
    longer = math.ceil(given.epochs * (1 + (1 - start) * (ratio - 1) / given.adversary_every))
    print(f"an adversarial step costs {ratio:.2f} plain ones\n")
    print("| seed | run | epochs | seconds | Fréchet distance | MSE | sharpness | told right |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in given.seeds:
        options = latentia.Options(seed=seed, threads=given.threads, log_every=10)

        def trained(name: str, recipe: str, epochs: int, seed=seed, options=options, **own):
            path = given.out / f"{name}-{seed}"
            if (path / "run.json").exists():
                latentia.resume(path)  # a complete run stays as it is
                return latentia.Run.open(path)
            own |= knobs
            latentia.train(
                recipe, run=path, modifiers=taught, options=options, epochs=epochs, **own
            )
            return latentia.Run.open(path)

        adversarial = trained("vaegan", "vaegan", given.epochs, **own)
        equal = trained("vae-equal-epochs", PLAIN, given.epochs)
        runs = [adversarial, equal, trained("vae-equal-time", PLAIN, longer)]
        for run in runs:
            distance, mse, sharp, told = measured(run)
            print(
                f"| {seed} | {run.name} | {run.metadata['arguments']['epochs']} "
                f"| {seconds(run):.0f} | {distance:.3g} | {mse:.3g} | {sharp:.2f} | {told} |",
                flush=True,
            )
        if given.picture and seed == given.seeds[0]:
            draw(runs, given.picture)


if __name__ == "__main__":
    main()
