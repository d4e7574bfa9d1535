"""Compare the negative ELBO in bfloat16 and in float32, seed by seed: docs/benchmarks/speed.md.

python benchmarks/precision.py --data mnist --seeds 0 1 2 3 4 \
    --threads 1 --out docs/benchmarks/speed.md

The runs of a pair differ in precision only: initial weights, order of the images and noise are the
same. The negative ELBO of the test images is computed in float32 for both. Runs are kept in
`--runs`.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from page import write_section
from run_cache import load_or_train

import latentia
from latentia.metrics.elbo import elbo
from latentia.runs.provenance import describe_machine

WORKS = {"mnist_mlp_vae": 10, "mnist_conv_vae": 4}  # epochs
PRECISIONS = ("fp32", "bf16")


def measure_nats(recipe: str, seed: int, precision: Any, args: argparse.Namespace) -> float:
    options = latentia.Options(seed=seed, threads=args.threads, precision=precision)
    path = Path(args.runs) / f"{recipe}-{precision}-{seed}"
    run = load_or_train(path, recipe, options, data=args.data, epochs=WORKS[recipe])
    nats = elbo(run.model(), run.images().split("test"))["nelbo_nats"]
    print(f"{recipe} {precision}, seed {seed}: {nats:.2f} nats", flush=True)
    return nats


def format_row(recipe: str, args: argparse.Namespace) -> str:
    results = {p: [measure_nats(recipe, seed, p, args) for seed in args.seeds] for p in PRECISIONS}
    means = [f"{statistics.mean(v):.2f} ± {statistics.stdev(v):.2f}" for v in results.values()]
    gaps = [b - a for a, b in zip(*results.values(), strict=True)]
    gap = f"{statistics.mean(gaps):+.2f} ({min(gaps):+.2f} to {max(gaps):+.2f})"
    return f"| `{recipe}`, {WORKS[recipe]} epochs | {means[0]} | {means[1]} | {gap} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipes", nargs="+", default=list(WORKS))
    parser.add_argument("--runs", default="runs/precision")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "| run | float32 | bfloat16 | bfloat16 minus float32, same seed |",
        "|---" * 4 + "|",
        *(format_row(recipe, args) for recipe in args.recipes),
        "",
        f"Nats per test image, n = {len(args.seeds)} seeds: mean ± standard deviation. For the "
        f"difference: mean (minimum to maximum). CPU: {describe_machine()['cpu']}.",
    ]
    print("\n".join(lines))
    if args.out:
        write_section(args.out, "precision", "\n".join(lines))


if __name__ == "__main__":
    main()
