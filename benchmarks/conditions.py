"""Measure conditional VAEs: analogies of handwriting, and a batch effect in the coordinates.

python benchmarks/conditions.py --data mnist --out runs/conditions

A run of `mnist_mlp_vae --cond label` decodes test images as every digit. A classifier of the
labels says how many show the requested digit. Slant and thickness of an image and of its analogies
are correlated, after each digit's mean is subtracted.

Then a batch effect is planted into 12,000 digits: the images of three batches differ in contrast
and background. Batch and digit are read from the coordinates of held-out images by linear probes
that are fitted to training images, for runs with and without `--cond batch`. The run of the digits
is also trained with the discrepancy of `--divergence mmd` beside the rate, within the classes of
the label. The result is Markdown. A second call uses the runs that exist.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from run_cache import load_or_train
from torch import Tensor

import latentia
from latentia.data.sources.registry import LabelledData
from latentia.latents.encoding import encode_split
from latentia.latents.probes import probe_held_out
from latentia.metrics.label_classifier import get_label_classifier
from latentia.report.rendered_images import reconstruct_images
from latentia.runs.folder import RunFolder

N_IMAGES, N_PLANTED, N_BATCHES, RESAMPLES = 1000, 12_000, 3, 500
MMD_WEIGHT = 300.0


def measure_slant(images: Tensor) -> Tensor:
    """Slope of the regression of column on row, weighted by ink."""
    weight = images[:, 0] / images.sum((1, 2, 3))[:, None, None].clamp_min(1e-6)
    rows, columns = (x.to(images) for x in torch.meshgrid(*[torch.arange(28)] * 2, indexing="ij"))
    row, column = ((weight * x).sum((1, 2))[:, None, None] for x in (rows, columns))
    covariance = (weight * (rows - row) * (columns - column)).sum((1, 2))
    return covariance / (weight * (rows - row).square()).sum((1, 2)).clamp_min(1e-6)


def measure_thickness(images: Tensor) -> Tensor:
    """Share of the ink that an erosion by 3x3 pixels leaves."""
    eroded = -F.max_pool2d(-images, 3, 1, 1)
    return eroded.sum((1, 2, 3)) / images.sum((1, 2, 3)).clamp_min(1e-6)


def subtract_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    result = values.copy()
    for group in np.unique(groups):
        result[groups == group] -= values[groups == group].mean()
    return result


def correlate(one: np.ndarray, others: np.ndarray, digits: np.ndarray) -> str:
    """Correlation of a statistic of images (n,) and analogies (10, n), with a 95 % interval."""
    own = subtract_means(one, digits)
    centred = others - others.mean(1, keepdims=True)
    mask = np.arange(10)[:, None] != digits  # the own digit is a reconstruction

    def measure(rows: np.ndarray) -> float:
        chosen = mask[:, rows]
        pairs = np.broadcast_to(own[rows], chosen.shape)[chosen], centred[:, rows][chosen]
        return float(np.corrcoef(*pairs)[0, 1])

    rng, n = np.random.default_rng(0), len(one)
    values = [measure(rng.integers(n, size=n)) for _ in range(RESAMPLES)]
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{measure(np.arange(n)):.2f} [{low:.2f}, {high:.2f}]"


def describe_analogies(run: RunFolder) -> str:
    images, model = run.images(), run.autoencoder()
    batch = images.split("test").subsample(N_IMAGES).get_batch(slice(None))
    digits = batch.columns["label"].numpy()
    analogies = reconstruct_images(model, batch, torch.arange(10)).unflatten(0, (10, -1))
    classifier = get_label_classifier(images)
    predicted = classifier.classify(analogies.flatten(0, 1).split(500)).argmax(1).view(10, -1)
    is_right = (predicted == torch.arange(10)[:, None]).numpy()
    is_other = np.arange(10)[:, None] != digits
    per_image = np.array([is_right[is_other[:, k], k].mean() for k in range(len(digits))])
    error = per_image.std(ddof=1) / len(digits) ** 0.5
    real = classifier.classify(batch.image.split(500)).argmax(1).numpy() == digits
    own = is_right[digits, np.arange(len(digits))]
    lines = [
        f"| requested digit shown by analogies | {per_image.mean():.1%} ± {1.96 * error:.1%} |",
        f"| the same, reconstructions with the own digit | {own.mean():.1%} |",
        f"| the same, test images | {real.mean():.1%} |",
    ]
    for name, measure in (("slant", measure_slant), ("thickness", measure_thickness)):
        others = np.stack([measure(x).numpy() for x in analogies])
        text = correlate(measure(batch.image).numpy(), others, digits)
        lines.append(f"| correlation of {name}, image and analogies | {text} |")
    return "\n".join([f"| {run.name}, n = {len(digits)} test images | |", "|---|---|", *lines])


def plant_batches(data: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return digits whose contrast and background depend on a random batch, and their labels."""
    split = latentia.open_images(data, size=28, channels=1).split("all").subsample(N_PLANTED)
    batch = np.random.default_rng(0).integers(N_BATCHES, size=len(split))
    contrast, background = np.array([1.0, 0.7, 0.8])[batch], np.array([0.0, 0.0, 0.2])[batch]
    images = split[:].numpy()[:, 0] * contrast[:, None, None] + background[:, None, None]
    names = np.array(["a", "b", "c"])
    labels = {"batch": names[batch], "digit": split.columns["label"].numpy()}
    return (255 * images).round().astype(np.uint8), labels


def describe_probes(
    run: RunFolder, data: LabelledData, names: tuple[str, ...] = ("batch", "digit")
) -> str:
    images, model = run.images(data), run.autoencoder()
    splits = [images.split(name) for name in ("train", "test")]
    means, cells = [encode_split(model, split, 5000).mean for split in splits], []
    for column in names:
        columns = [split.subsample(5000).columns[column].numpy() for split in splits]
        probe = probe_held_out(*zip(means, columns, strict=True), is_class=True)
        cells.append(f"{probe.text} (chance {probe.chance:.2f})")
    return f"| {run.name} | {' | '.join(cells)} | {len(means[1]):,} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--out", type=Path, default=Path("runs/conditions"))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--planted-epochs", type=int, default=8)
    parser.add_argument("--planted-latent", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mmd-weight", type=float, default=MMD_WEIGHT)
    parser.add_argument("--recipes", nargs="+", default=["mnist_mlp_vae"])
    args = parser.parse_args()
    mmd = {"divergence": "mmd", "mmd_weight": args.mmd_weight, "rate_weight": 1.0}
    options = latentia.Options(precision="fp32", threads=1, seed=args.seed)
    for recipe in args.recipes:
        for name, term in (("label", {}), ("label-mmd", mmd)):
            parameters: Any = {"data": args.data, "epochs": args.epochs, "cond": "label", **term}
            run = load_or_train(args.out / f"{recipe}-{name}", recipe, options, **parameters)
            print(describe_analogies(run), end="\n\n", flush=True)
    planted, labels = plant_batches(args.data)
    shared: Any = {"data": planted, "labels": labels, "latent": args.planted_latent}
    print("| run | accuracy of the batch | accuracy of the digit | n |\n|---|---|---|---|")
    for name, modifiers in (("plain", {}), ("batch", {"cond": "batch"})):
        parameters = {**shared, "epochs": args.planted_epochs}
        path = args.out / f"{args.recipes[0]}-{name}"
        run = load_or_train(path, args.recipes[0], options, **parameters, **modifiers)
        print(describe_probes(run, LabelledData(planted, labels)), flush=True)


if __name__ == "__main__":
    main()
