"""Measure `--augment` on few images, and `--cond`, for `mnist_gan`: docs/how-to/gans.md.

python benchmarks/augmentation.py --data FOLDER --out runs/augmentation --epochs 120 --seeds 0 1 2
python benchmarks/augmentation.py --data FOLDER --out runs/augmentation --conditional runs/by-digit

FOLDER holds MNIST's parquet files. `mnist_gan` is trained on the first 2,000 training images, with
and without `--augment`; 10,000 samples are compared with the test images in the features of a
classifier that is trained on all training images. With --conditional, the classifier says how many
of 1,000 samples of a run of `--cond label` show the requested digit. The result is Markdown. A
second call uses the runs that exist.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from run_cache import load_or_train
from scipy.stats import binomtest

import latentia
from latentia.core.text import format_with_error
from latentia.data import open_images
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import LabelClassifier, get_label_classifier
from latentia.runs.folder import RunFolder

N_TRAIN, N_SAMPLES, N_LABELLED = 2_000, 10_000, 1_000


def write_few_images(source: Path, folder: Path) -> Path:
    """Write the first training images and all test images as tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.glob("t*.parquet"):
        table = pq.read_table(path)
        pq.write_table(
            table[:N_TRAIN] if path.name.startswith("train") else table, folder / path.name
        )
    return folder


def measure_labels(run: RunFolder, classifier: LabelClassifier) -> str:
    """Share of samples whose class is the requested one, with Wilson's 95 % interval."""
    digits = torch.arange(N_LABELLED) % 10
    samples = run.model().sample(N_LABELLED, seed=0, cond=digits).split(500)
    right = int((classifier.classify(samples).argmax(1) == digits).sum())
    low, high = binomtest(right, N_LABELLED).proportion_ci(method="wilson")
    return f"{right / N_LABELLED:.1%} [{low:.1%}, {high:.1%}] (n = {N_LABELLED:,})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--augment", default="shift,rotate")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--conditional")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = open_images(str(args.data), size=28, channels=1)
    classifier, test = get_label_classifier(images), images.split("test")
    if args.conditional:
        print(f"requested digit: {measure_labels(RunFolder.open(args.conditional), classifier)}")
        return
    real = classifier.extract_features(batch.image for batch in test.iterate_batches(500))
    few = write_few_images(args.data, args.out / "few")
    print("| run | seed | Fréchet distance |\n|---|---|---|")
    for name, parameters in {"plain": {}, args.augment: {"augment": args.augment}}.items():
        values = []
        for seed in args.seeds:
            options = latentia.Options(seed=seed, threads=args.threads, validation=0.0)
            path = args.out / f"{name.replace(',', '-')}-{seed}"
            parameters |= {"data": str(few), "epochs": args.epochs}
            run = load_or_train(path, "mnist_gan", options, **parameters)
            samples = run.model().sample(N_SAMPLES, seed=0).split(500)
            distance = estimate_frechet_distance(real, classifier.extract_features(samples))
            print(f"| {name} | {seed} | {distance} |", flush=True)
            values.append(distance.value)
        spread = np.std(values, ddof=1).item() if len(values) > 1 else None
        text = format_with_error(np.mean(values).item(), spread)
        print(f"| {name} | mean ± standard deviation | {text} |", flush=True)


if __name__ == "__main__":
    main()
