"""Measure `latentia fit` beside conv_vae and closed forms: docs/benchmarks/photos.md.

python benchmarks/photos.py FOLDER --minutes 1 10 --seeds 0 1 2 --out runs/photos

FOLDER holds class folders. For each number of minutes and seed, `latentia fit` and, in the same
time, `conv_vae` with `latent_prior` are trained, unless their folders are complete: a killed
benchmark goes on. Of the test images: the squared error as a multiple of that of pixel PCA with as
many dimensions; how often a logistic regression on the training images' coordinates names the
class; the kernel distance of as many samples by class, in the features of a classifier of
our own that no training used, and in those of EfficientNet. The rows of the closed forms need no
training. Each row is written to OUT/rows.jsonl as it comes; the result is Markdown.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import latentia
from latentia.core.text import format_with_error
from latentia.metrics.pca import fit_pixel_pca
from latentia.models.joint_pca import choose_weight, fit_feature_axes, fit_joint_pca
from latentia.models.pretrained_features import extract_features

FIT_SHARE = 0.65  # of the minutes for the VAE: that of latentia fit
COLUMNS = "model", "minutes", "seed", "error / PCA", "class", "kd own", "kd pretrained"
Codes = dict[str, np.ndarray]  # coordinates of the training and test images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--weights", type=float, nargs="*", default=[3, 30, 100])
    parser.add_argument("--label", default="label")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    images = latentia.open_images(args.data)
    rows = Rows(args.out / "rows.jsonl")
    for row in measure_closed_forms(images, args.latent, args.weights, args.label):
        rows.add(row)
    for minutes in args.minutes:
        for seed in args.seeds:
            for name, train in (("fit", train_fit), ("conv_vae", train_conv_vae)):
                folder = args.out / f"{name}-m{minutes:g}-s{seed}"
                train(args, folder, minutes, seed)
                rows.add({"model": name, "minutes": minutes, "seed": seed, **measure(folder, args)})
    print(rows.format_markdown())


class Rows:
    """Rows of the result, each written when it is measured."""

    def __init__(self, path: Path):
        self.path, self.rows = path, []
        path.write_text("", encoding="utf-8")

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        print(row, file=sys.stderr, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def format_markdown(self) -> str:
        lines = [COLUMNS, ["---"] * len(COLUMNS)]
        lines += [[str(row.get(name, "")) for name in COLUMNS] for row in self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def call(*words: Any) -> str:
    """Run a command of latentia and return what it prints."""
    command = [sys.executable, "-m", "latentia", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def train_fit(args: argparse.Namespace, folder: Path, minutes: float, seed: int) -> None:
    options = ["--latent", args.latent, "--run", folder, "--seed", seed]
    call("fit", args.data, "--minutes", minutes, *options)


def train_conv_vae(args: argparse.Namespace, folder: Path, minutes: float, seed: int) -> None:
    prior = folder.with_name(f"{folder.name}-prior")
    vae_words = ["--data", args.data, "--latent", args.latent]
    prior_words = ["--autoencoder", folder, "--cond", args.label, "--width", 256, "--batch", 256]
    for recipe, run, share, words in (
        ("conv_vae", folder, FIT_SHARE, vae_words),
        ("latent_prior", prior, 1 - FIT_SHARE, prior_words),
    ):
        if not (run / "run.json").exists():
            times = ["--minutes", share * minutes, "--seed", seed]
            call("train", recipe, *words, *times, "--run", run)
        elif not latentia.load(run).is_complete:
            call("resume", run)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    run = latentia.load(folder)
    images, codes, errors = run.images, {}, []
    for split in ("train", "test"):
        parts = []
        for batch in images.split(split).iterate_batches(200):
            with torch.no_grad():
                mean = run.model.encode(batch.image).mean
                parts.append(mean.flatten(1).numpy())
                if split == "test":
                    difference = run.model.decode(mean) - batch.image
                    errors.append(difference.square().flatten(1).mean(1))
        codes[split] = np.concatenate(parts)
    prior = folder.with_name(f"{folder.name}-prior")
    kd = [
        json.loads(call("evaluate", prior, "--metrics", "kd", "--features", name, "--json"))
        for name in ("classifier", "efficientnet")
    ]
    return {
        "error / PCA": round(torch.cat(errors).mean().item() / measure_pca(images, args.latent), 3),
        "class": read_class(images, codes, args.label),
        "kd own": format_distance(kd[0]),
        "kd pretrained": format_distance(kd[1]),
    }


def format_distance(result: Any) -> str:
    """Return the kernel distance with its floor, that of real images."""
    entries = {entry["name"]: entry for entry in result["metrics"]["kd"]}
    kd, floor = entries["kd_samples"], entries.get("kd_real")
    text = format_with_error(kd["value"], kd["error"])
    return text + (f" (floor {floor['value']:.2g})" if floor else "")


def measure_pca(images: Any, dims: int) -> float:
    test = images.split("test")
    pca = fit_pixel_pca(images, dims)
    parts = [pca.measure_mse(batch.image) for batch in test.iterate_batches(500)]
    return torch.cat(parts).mean().item()


def read_class(images: Any, codes: Codes, label: str) -> float:
    """Return the accuracy of a logistic regression on the test images."""
    labels = {name: images.split(name).columns[label].numpy() for name in codes}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    model.fit(codes["train"], labels["train"])
    return round(model.score(codes["test"], labels["test"]), 3)


def measure_closed_forms(images: Any, dims: int, weights: list[float], label: str) -> Any:
    """Yield rows of pixel PCA, of the features' PCA, and of both by weight."""
    pixels, features = {}, {}
    for name in ("train", "test"):
        batches = [batch.image for batch in images.split(name).iterate_batches(500)]
        pixels[name] = torch.cat(batches).flatten(1)
        features[name] = torch.cat([extract_features(batch) for batch in batches])
    lowest = measure_pca(images, dims)
    pca = fit_pixel_pca(images, dims)
    codes = {k: ((v - pca.mean) @ pca.axes).numpy() for k, v in pixels.items()}
    n_test = len(pixels["test"])
    yield {"model": f"pixel PCA (n = {n_test})", "error / PCA": 1.0} | {
        "class": read_class(images, codes, label)
    }
    mean, projection = fit_feature_axes(features["train"], dims)
    scaled = {k: (v - mean) @ projection for k, v in features.items()}
    codes = {k: v.numpy() for k, v in scaled.items()}
    yield {"model": "features' PCA", "class": read_class(images, codes, label)}
    chosen = choose_weight(pixels["train"], scaled["train"], dims)
    for weight in [*weights, chosen]:
        rows = {k: v * weight**0.5 for k, v in scaled.items()}
        form = fit_joint_pca(pixels["train"], rows["train"], dims)
        codes = {
            k: (pixels[k] - form.pixel_mean) @ form.encode_pixels + rows[k] @ form.encode_features
            for k in rows
        }
        mse = form.measure_mse(pixels["test"], rows["test"]).item()
        name = f"joint PCA, weight {weight:g}" + (" (chosen)" if weight is chosen else "")
        yield {
            "model": name,
            "error / PCA": round(mse / lowest, 3),
            "class": read_class(images, {k: v.numpy() for k, v in codes.items()}, label),
        }


if __name__ == "__main__":
    main()
