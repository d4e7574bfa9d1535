"""One run for all betas against a run for each: docs/beta.md.

python benchmarks/multirate.py --data mnist --seeds 0 1 2 --threads 1 --out docs/beta.md

At eight betas from 0.01 to 10: what a run of that beta reaches on the test split, distortion + beta
times rate, and what one run of `--multirate 0.01:10` reaches there, of the same epochs and of twice
as many; and how many plain steps one of its own costs, twenty of each in turn, nine times. The runs
are kept in `--runs`, and a second call takes up what is there.
"""

import argparse
import io
import statistics
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from page import put
from turns import dearer

import latentia
from latentia.metrics.elbo import elbo
from latentia.runs.create import create_run
from latentia.runs.provenance import describe_machine
from latentia.training.checkpoint import atomic_write
from latentia.training.loop import Loop
from runs import trained

RECIPES = ("mnist_mlp_vae", "mnist_conv_vae")
BETAS = [float(f"{beta:.3g}") for beta in np.geomspace(0.01, 10, 8)]
RANGE = {"multirate": {"multirate": "0.01:10"}}


def reached(run: latentia.Run, beta: float) -> tuple[float, float]:
    """Rate, and distortion + beta rate, nats per test image."""
    found = elbo(run.model(), run.images().split("test"))
    return found["rate_nats"], found["distortion_nats"] + beta * found["rate_nats"]


def dearness(recipe: str, args: argparse.Namespace, repeats: int = 9) -> list[float]:
    """How many steps of a plain run one of the run for all betas costs."""
    loops = []
    for edits in ({}, RANGE):
        folder = Path(tempfile.mkdtemp()) / "run"
        options = latentia.Options(threads=args.threads)
        run, plan = create_run(recipe, {"data": args.data}, edits, options, folder)
        loops.append(Loop(plan, run, run.options))
    return dearer(*loops, repeats, steps=20)


def measured(recipe: str, seed: int, args: argparse.Namespace) -> dict:
    """Of one seed: by beta, (rate, objective) of each kind of run."""
    options = latentia.Options(seed=seed, threads=args.threads)
    folder = Path(args.runs) / recipe / str(seed)
    knobs = {"data": args.data, "epochs": args.epochs}
    single = [trained(folder / f"{beta:g}", recipe, options, beta=beta, **knobs) for beta in BETAS]
    points = {"single": [reached(run, beta) for run, beta in zip(single, BETAS, strict=True)]}
    for name, times_as_many in (("one", 1), ("twice", 2)):
        knobs["epochs"] = args.epochs * times_as_many
        run = trained(folder / name, recipe, options, edits=RANGE, **knobs)
        points[name] = [reached(run.with_beta(beta), beta) for beta in BETAS]
        print(recipe, seed, name, flush=True)
    return points


def table(recipe: str, found: list[dict], cost: list[float]) -> list[str]:
    def objective(kind: str) -> np.ndarray:  # (seeds, betas)
        return np.array([[value for _, value in each[kind]] for each in found])

    def share(epochs: int) -> str:
        shares = [epochs * each / len(BETAS) for each in cost]
        return f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"

    single, one, twice = (objective(kind) for kind in ("single", "one", "twice"))
    lines = [
        f"## `{recipe}`",
        "",
        "| beta | a run for each beta | one run | | one run, twice the epochs | |",
        "|---|---|---|---|---|---|",
    ]
    for k, beta in enumerate(BETAS):
        cells = [f"{beta:g}", spread(single[:, k])]
        for kind in (one, twice):
            worse = kind[:, k] / single[:, k] - 1
            cells += [spread(kind[:, k]), f"{worse.mean():+.1%} (at most {worse.max():+.1%})"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| steps' time, of the eight runs' | 1 | {share(1)} | | {share(2)} | |", ""]
    return lines


def spread(values: np.ndarray) -> str:
    return (
        f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
    )


def picture(found: dict[str, list[dict]]) -> bytes:
    """Distortion against rate, of the first seed."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10}):
        figure = Figure(figsize=(4.2 * len(found), 3.2), layout="constrained", dpi=150)
        for axis, (recipe, seeds) in zip(
            figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
        ):
            points = seeds[0]
            looks = {
                "single": ("a run for each beta", "o", "#c4620a", "none"),
                "one": ("one run", ".", "#2456a6", "-"),
                "twice": ("one run, twice the epochs", ".", "#8a8f98", "--"),
            }
            for kind, (label, marker, colour, line) in looks.items():
                rate = [rate for rate, _ in points[kind]]
                distortion = [
                    value - b * r for (r, value), b in zip(points[kind], BETAS, strict=True)
                ]
                axis.plot(rate, distortion, marker=marker, color=colour, ls=line, label=label)
            axis.set(title=recipe, xlabel="rate, nats per test image", xscale="log")
            axis.set_ylabel("distortion, nats")
            axis.legend(frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", default="runs/multirate")
    parser.add_argument("--out", type=Path, default=Path("docs/beta.md"))
    parser.add_argument("--picture", default="docs/images/beta.png")
    args = parser.parse_args()
    found = {
        recipe: [measured(recipe, seed, args) for seed in args.seeds] for recipe in args.recipes
    }
    lines = [
        line
        for recipe, each in found.items()
        for line in table(recipe, each, dearness(recipe, args))
    ]
    n, cpu, threads = len(args.seeds), describe_machine()["cpu"], args.threads or "all"
    lines += [
        f"Nats per test image: distortion + beta rate; mean and standard deviation over {n} seeds;"
        f" {args.epochs} epochs; {cpu}, {threads} threads, PyTorch {torch.__version__}.",
        "",
    ]
    put(args.out, "multirate", "\n".join(lines))
    atomic_write(Path(args.picture), picture(found))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
