"""Judge what runs draw: Fréchet distance and classes, in features learned from the data's labels.

python benchmarks/judge.py runs/mnist_gan runs/mnist_dcgan [--n 10000] [--seed 0]

All runs must be of one data set. The classifier is trained on its training split (and cached); the
distance is to the test images. Printed as a Markdown table.
"""

import argparse

import torch

import latentia
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import get_label_classifier


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    runs = [latentia.Run.open(path) for path in given.runs]
    images = runs[0].images()
    judge, test = get_label_classifier(images), images.split("test")
    real = judge.embed(batch.image for batch in test.batches(500))
    told = judge.classify(batch.image for batch in test.batches(500)).argmax(1)
    accuracy = (told == test.columns["label"]).double().mean().item()
    print(f"classifier: {accuracy:.2%} of {len(test):,} test images right\n")
    print("| run | images seen | Fréchet distance | smallest class | mean probability |")
    print("|---|---|---|---|---|")
    for run in runs:
        drawn = run.model().sample(given.n, seed=given.seed).split(500)
        estimate = estimate_frechet_distance(real, judge.embed(drawn))
        chances = judge.classify(drawn)
        counts = torch.bincount(chances.argmax(1), minlength=10)
        seen = run.metadata["arguments"]["epochs"] * run.metadata["images"]["count"]["train"]
        print(
            f"| {run.name} | {seen:,} | {estimate} (n = {given.n:,}) | "
            f"{counts.min() / given.n:.1%} (a {counts.argmin()}) | {chances.amax(1).mean():.3f} |"
        )


if __name__ == "__main__":
    main()
