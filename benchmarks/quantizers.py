"""Compare codes with a KL term in `image_autoencoder` at equal bits: docs/how-to/priors.md.

python benchmarks/quantizers.py FOLDER --threads 1 --out docs/how-to/priors.md

For each seed, one run has `--quantizer fsq`, and one run for each beta has a KL term. None has an
adversary, so that only the squared error counts. Bits of an image are the rate of the test images;
those of codes are fixed. The error is that of decoded draws. Between the runs with a KL term, the
logarithm of the error is interpolated in bits; the error of the codes is divided by its value at
their bits. A second call uses the runs that exist.
"""

import argparse
import math
import statistics
from pathlib import Path

import numpy as np
import torch
from page import write_section
from run_cache import load_or_train

import latentia
from latentia.models.fsq import Codes
from latentia.runs.folder import RunFolder

PLAIN = {"adversarial_weight": 0.0, "feature_weight": 0.0, "adversary_from": 1.0}


def measure(run: RunFolder) -> tuple[float, float]:
    """Return bits of an image and squared error, of the test images."""
    result = latentia.elbo(run.autoencoder(), run.images().split("test"))
    return result["rate_nats"] / math.log(2), result["mse_draws"]


@torch.no_grad()
def measure_use(run: RunFolder) -> float:
    """Return the fraction of the codes that the training images take."""
    model, split = run.autoencoder(), run.images().split("train")
    codes = next(module for module in model.modules() if isinstance(module, Codes))
    tokens = [model.encode(batch.image).tokens for batch in split.iterate_batches(250)]
    return len(torch.cat(tokens).unique()) / codes.count


def interpolate(points: list[tuple[float, float]], bits: float) -> float:
    """Return the error at these bits.

    Raises: SystemExit if they lie outside those of the runs
    """
    x, errors = np.array(sorted(points)).T
    if not x[0] <= bits <= x[-1]:
        raise SystemExit(
            f"{bits:.0f} bits lie outside {x[0]:.0f} to {x[-1]:.0f}; give other --betas"
        )
    return math.exp(np.interp(bits, x, np.log(errors)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--betas", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/quantizers"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    shared = {"data": args.data, "size": 32, "factor": 4, "width": args.width}
    shared |= {"epochs": args.epochs, **PLAIN}
    head = ["seed", "bits of codes", "error", "codes used"]
    lines = [f"| {' | '.join([*head, 'bits and error by beta', 'ratio'])} |", "|---" * 6 + "|"]
    ratios = []
    for seed in args.seeds:
        options = latentia.Options(seed=seed, threads=args.threads, precision="fp32")
        codes = load_or_train(
            args.runs / f"codes-{seed}", "image_autoencoder", options, quantizer="fsq", **shared
        )
        bits, error = measure(codes)
        points, cells = [], []
        for beta in args.betas:
            path = args.runs / f"kl-{beta:g}-{seed}"
            run = load_or_train(path, "image_autoencoder", options, beta=beta, **shared)
            points.append(measure(run))
            cells.append(f"{beta:g}: {points[-1][0]:.0f}, {points[-1][1]:.5f}")
        ratios.append(error / interpolate(points, bits))
        row = [
            str(seed),
            f"{bits:.0f}",
            f"{error:.5f}",
            f"{measure_use(codes):.1%}",
            "; ".join(cells),
        ]
        lines.append(f"| {' | '.join([*row, f'{ratios[-1]:.2f}'])} |")
        print(lines[-1], flush=True)
    spread = f" ± {statistics.stdev(ratios):.2f} (standard deviation)" if len(ratios) > 1 else ""
    text = f"Mean ratio {statistics.mean(ratios):.2f}{spread}, n = {len(ratios)} seeds."
    print(text)
    if args.out:
        write_section(args.out, "quantizers", "\n".join([*lines, "", text]))


if __name__ == "__main__":
    main()
