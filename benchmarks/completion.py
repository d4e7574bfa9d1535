"""Measure `complete` with half of each digit hidden: docs/how-to/missing.md.

python benchmarks/completion.py --data mnist --epochs 4 --out runs/completion

`mnist_conv_vae` is trained on whole digits. One completion is drawn of each of the first 2,000 test
digits, with each half hidden in turn. A classifier that is trained on the training images says how
many show the true digit, beside the share for the whole test digits, for digits whose hidden half
is black, and for the digits that a reconstruction would show. The result is Markdown. A second call
uses the run that exists.
"""

import argparse
from pathlib import Path

import torch
from run_cache import load_or_train
from scipy.stats import binomtest

import latentia
from latentia.latents.completion import complete_images
from latentia.metrics.label_classifier import get_label_classifier

HALVES = {
    "lower": (slice(14, None), slice(None)),
    "upper": (slice(14), slice(None)),
    "right": (slice(None), slice(14, None)),
    "left": (slice(None), slice(14)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--recipe", default="mnist_conv_vae")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--halves", nargs="+", default=[*HALVES], choices=HALVES)
    parser.add_argument("-n", type=int, default=2_000)
    parser.add_argument("--steps", type=int, nargs="+", default=[20])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = latentia.Options(seed=0, threads=1)
    parameters = {"data": args.data, "epochs": args.epochs}
    run = load_or_train(args.out / args.recipe, args.recipe, options, **parameters)
    model, images = run.model(), run.images()
    classifier = get_label_classifier(images)
    digits, columns = images.split("test").get_batch(slice(args.n))

    def measure(pixels: torch.Tensor) -> str:
        right = classifier.classify(pixels.split(500)).argmax(1) == columns["label"]
        low, high = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
        return f"{right.double().mean():.1%} [{low:.1%}, {high:.1%}]"

    print(f"n = {len(digits):,} test digits, Wilson's 95 % intervals; whole: {measure(digits)}\n")
    print("| hidden half | steps | true digit, hidden half black | true digit, completed |")
    print("|---|---|---|---|")
    for name in args.halves:
        mask = torch.ones(1, 1, 28, 28)
        mask[(..., *HALVES[name])] = 0
        for steps in args.steps:
            draws = complete_images(model, digits, mask, samples=1, steps=steps)[:, 0]
            cells = name, steps, measure(digits * mask), measure(draws)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
