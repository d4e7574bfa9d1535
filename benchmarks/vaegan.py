"""Compare `vaegan` with plain VAEs of the same networks: docs/benchmarks/vaegan.md.

python benchmarks/vaegan.py --data mnist --size 28 --epochs 4 --seeds 0 1 2 --out runs/vg

For each seed, three runs are trained: `vaegan`, its VAE without a critic for equal epochs, and the
same VAE for equal time. For equal time, the epochs are multiplied by the ratio of the costs of a
step with and without the adversary, which is measured before the first run, and rounded up. The
reconstructions of the test images are compared: Fréchet distance in the features of a classifier
of the factors or labels, mean squared error, energy above a quarter cycle per pixel relative to
the originals, and the accuracy of the classifier (on originals, then on reconstructions). The
result is a Markdown table. `--picture` draws ten test images with the reconstructions by each run
of the first seed.
"""

import argparse
import math
import statistics
import tempfile
from pathlib import Path

import torch
from run_cache import load_or_train
from turns import measure_cost_ratios

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
from latentia.runs.folder import RunFolder
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
    """The VAE of `vaegan`, without a critic."""
    images = open_images(data, size=size, channels=channels)
    nets = make_vaegan_networks(images.shape, latent)
    schedule = delayed(0.0, linear(0.02 * beta, beta), until=0.5)
    model = VAE(nets.encoder, nets.decoder, Gaussian(), schedule)
    adam = latentia.Adam(lr, schedule=cosine(end=0.05))
    return latentia.Plan(model, images, {"vae": adam}, batch, epochs, average)


def read_seconds(run: RunFolder) -> float:
    return read_rows(run.path / "timing.jsonl")[-1]["seconds"]


def measure_step_cost(parameters: dict, adversary: dict, threads: int, repeats: int = 25) -> float:
    """Return the cost of an adversarial step in plain steps: the median ratio of alternate turns.

    A turn is one period of the critic's lazy penalty.
    """
    loops = []
    every_step = adversary | {"adversary_from": 0.0, "adversary_every": 1}
    for recipe, recipe_parameters in ((PLAIN, {}), ("vaegan", every_step)):
        folder = Path(tempfile.mkdtemp()) / "run"
        options = latentia.Options(threads=threads, precision="fp32")
        run, plan = create_run(recipe, parameters | recipe_parameters, {}, options, folder)
        loops.append(Loop(plan, run, run.options))
    return statistics.median(measure_cost_ratios(loops[0], loops[1], repeats, steps=LAZY_INTERVAL))


def draw_reconstructions(runs: list[RunFolder], path: Path, n: int = 10) -> None:
    """Save the originals, and the reconstructions of each run in a row below."""
    images = runs[0].images().split("test").get_batch(slice(0, n)).image
    rows = [images, *(run.model().reconstruct(images) for run in runs)]  # pyright: ignore
    caption = "test images, then reconstructions by " + ", ".join(run.name for run in runs)
    save(path, render_grid(torch.cat(rows), n, caption).encoders)


def measure_reconstructions(run: RunFolder) -> tuple[float, float, float, str]:
    """Return Fréchet distance, mean squared error, relative sharpness and accuracies."""
    images, model = run.images(), run.model()
    classifier, test = get_label_classifier(images), images.split("test")
    originals = [batch.image for batch in test.iterate_batches(250)]
    reconstructions = [model.reconstruct(images) for images in originals]  # pyright: ignore
    distance = frechet_distance(
        classifier.extract_features(originals), classifier.extract_features(reconstructions)
    )
    x, y = torch.cat(originals), torch.cat(reconstructions)
    sharp = high_frequency_energy(y).mean() / high_frequency_energy(x).mean()
    accuracies = []
    for column in (name for name, classes in classifier.columns.items() if classes):
        truth = test.get_batch(slice(None)).columns[column]
        correct = [(classifier.classify(z.split(250), column).argmax(1) == truth) for z in (x, y)]
        accuracies.append(
            f"{column} {', '.join(f'{each.double().mean():.0%}' for each in correct)}"
        )
    return distance, (x - y).square().mean().item(), sharp.item(), "; ".join(accuracies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
    parser.add_argument("--supervise", help="label that supervises one latent dimension")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parameters = {k: getattr(args, k) for k in ("data", "size", "batch", "latent", "lr", "beta")}
    torch.set_num_threads(args.threads)
    adversary = {
        k: getattr(args, k)
        for k in (
            "adversarial_weight", "feature_weight", "reconstructions", "adversary_from",
            "adversary_every",
        )
    }  # fmt: skip
    label = {"supervise": args.supervise, "supervise_dims": 1, "supervise_weight": 4.0}
    modifiers = {"supervise": label} if args.supervise else {}
    ratio = measure_step_cost(parameters, adversary, args.threads)
    longer = math.ceil(
        args.epochs * (1 + (1 - args.adversary_from) * (ratio - 1) / args.adversary_every)
    )
    print(f"an adversarial step costs {ratio:.2f} plain ones\n")
    print("| seed | run | epochs | seconds | Fréchet distance | MSE | sharpness | accuracy |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in args.seeds:
        options = latentia.Options(seed=seed, threads=args.threads, precision="fp32", log_every=10)

        def train_run(name: str, recipe: str, epochs: int, seed=seed, options=options, **extra):
            extra |= parameters | {"epochs": epochs, "modifiers": modifiers}
            return load_or_train(args.out / f"{name}-{seed}", recipe, options, **extra)

        adversarial = train_run("vaegan", "vaegan", args.epochs, **adversary)
        equal = train_run("vae-equal-epochs", PLAIN, args.epochs)
        runs = [adversarial, equal, train_run("vae-equal-time", PLAIN, longer)]
        for run in runs:
            distance, mse, sharpness, accuracy = measure_reconstructions(run)
            print(
                f"| {seed} | {run.name} | {run.metadata['arguments']['epochs']} "
                f"| {read_seconds(run):.0f} | {distance:.3g} | {mse:.3g} | {sharpness:.2f} "
                f"| {accuracy} |",
                flush=True,
            )
        if args.picture and seed == args.seeds[0]:
            draw_reconstructions(runs, args.picture)


if __name__ == "__main__":
    main()
