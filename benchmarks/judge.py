"""Measure samples of runs: Fréchet distance and classes, by a classifier of the data's labels.

python benchmarks/judge.py runs/mnist_gan runs/mnist_dcgan [--n 10000] [--seed 0]

All runs must have been trained on one data set. The classifier is trained on its training split,
and cached. The distance is to the test images. The result is a Markdown table.
"""

import argparse

import torch

from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import get_label_classifier
from latentia.runs.folder import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    runs = [RunFolder.open(path) for path in args.runs]
    images = runs[0].images()
    classifier, test = get_label_classifier(images), images.split("test")
    real = classifier.extract_features(batch.image for batch in test.iterate_batches(500))
    predictions = classifier.classify(batch.image for batch in test.iterate_batches(500)).argmax(1)
    accuracy = (predictions == test.columns["label"]).double().mean().item()
    print(f"classifier: {accuracy:.2%} of {len(test):,} test images right\n")
    print("| run | images seen | Fréchet distance | smallest class | mean probability |")
    print("|---|---|---|---|---|")
    for run in runs:
        samples = run.model().sample(args.n, seed=args.seed).split(500)
        estimate = estimate_frechet_distance(real, classifier.extract_features(samples))
        probabilities = classifier.classify(samples)
        counts = torch.bincount(probabilities.argmax(1), minlength=10)
        seen = run.metadata["arguments"]["epochs"] * run.metadata["images"]["count"]["train"]
        print(
            f"| {run.name} | {seen:,} | {estimate} (n = {args.n:,}) | "
            f"{counts.min() / args.n:.1%} (a {counts.argmin()}) | "
            f"{probabilities.amax(1).mean():.3f} |"
        )


if __name__ == "__main__":
    main()
