"""Measure samples of a run of `pixel_diffusion` with labels, by strength of guidance.

python benchmarks/pixels.py runs/pixels --guidance 0 1 1.5

As many samples as test images, with the labels of as many training images, are compared with the
test images in the features of a classifier of the labels. Guidance 0 ignores the labels. The
result is Markdown, beside that of training images: Fréchet distance with its 95 % bootstrap
interval, precision, recall, coverage, and the share of samples in which the classifier finds the
requested label.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace

import torch
from prior import print_quality
from torch import Tensor

import latentia
from latentia.data.splits import evenly_spaced_rows
from latentia.metrics.label_classifier import get_label_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--guidance", type=float, nargs="+", default=[0.0, 1.0, 1.5])
    parser.add_argument("--n", type=int, help="number of samples; all test images by default")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = latentia.load(args.run)
    train, test, column = run.split("train"), run.split("test"), run.model.column
    if column is None:
        parser.error(f"{args.run} has no labels; train it with --cond.")
    classifier = get_label_classifier(run.images)
    real = classifier.extract_features(batch.image for batch in test.iterate_batches(500))
    chosen = train.select(evenly_spaced_rows(len(train), args.n or len(test)))
    labels, model = chosen.columns[column], run.model

    def measure(name: str, samples: Iterable[Tensor], note: str = "") -> None:
        print_quality(name, real, classifier.extract_features(samples), note)

    print(f"{run.name}: {len(labels):,} samples against {len(test):,} test images")
    print("| guidance | Fréchet distance | precision | recall | coverage | requested label |")
    print("|---|---|---|---|---|---|")
    measure("training images", (batch.image for batch in chosen.iterate_batches(500)))
    for guidance in args.guidance:
        setting, start = replace(model.sampling, guidance=guidance), time.perf_counter()
        samples = model.sample(len(labels), cond=labels, sampling=setting).split(500)
        speed = len(labels) / (time.perf_counter() - start)
        right = (classifier.classify(samples).argmax(1) == labels).double().mean().item()
        measure(f"{guidance:g}", samples, f"{right:.2%}; {speed:,.0f} images/s")


if __name__ == "__main__":
    main()
