"""Does bfloat16 cost nats? Runs in bfloat16 and in float32, of the same seeds: docs/speed.md.

python benchmarks/precision.py --data mnist --seeds 0 1 2 3 4 --threads 1 --out docs/speed.md

Each pair differs in precision alone: the same weights at the start, the same order and noise. The
negative ELBO of the test images is computed in float32 for both. Runs are kept in `--runs`.
"""

import argparse
import statistics
from pathlib import Path

from page import put
from runs import trained

import latentia
from latentia.metrics.elbo import elbo
from latentia.runs.provenance import describe_machine

WORKS = {"mnist_mlp_vae": 10, "mnist_conv_vae": 4}  # epochs
PRECISIONS = ("fp32", "bf16")


def nats(recipe: str, seed: int, precision: str, args: argparse.Namespace) -> float:
    options = latentia.Options(seed=seed, threads=args.threads, precision=precision)
    path = Path(args.runs) / f"{recipe}-{precision}-{seed}"
    run = trained(path, recipe, options, data=args.data, epochs=WORKS[recipe])
    found = elbo(run.model(), run.images().split("test"))["nelbo_nats"]
    print(f"{recipe} {precision}, seed {seed}: {found:.2f} nats", flush=True)
    return found


def row(recipe: str, args: argparse.Namespace) -> str:
    found = {p: [nats(recipe, seed, p, args) for seed in args.seeds] for p in PRECISIONS}
    each = [f"{statistics.mean(v):.2f} ± {statistics.stdev(v):.2f}" for v in found.values()]
    gaps = [b - a for a, b in zip(*found.values(), strict=True)]
    gap = f"{statistics.mean(gaps):+.2f} ({min(gaps):+.2f} to {max(gaps):+.2f})"
    return f"| `{recipe}`, {WORKS[recipe]} epochs | {each[0]} | {each[1]} | {gap} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recipes", nargs="+", default=list(WORKS))
    parser.add_argument("--runs", default="runs/precision")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "| run | float32 | bfloat16 | bfloat16 less float32, of the same seed |",
        "|---" * 4 + "|",
        *(row(recipe, args) for recipe in args.recipes),
        "",
        f"Nats per test image, n = {len(args.seeds)} seeds: mean ± standard deviation; of the "
        f"differences the mean, and least to most. A CPU with {describe_machine()['cpu']}.",
    ]
    print("\n".join(lines))
    if args.out:
        put(args.out, "precision", "\n".join(lines))


if __name__ == "__main__":
    main()
