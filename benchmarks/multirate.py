"""Compare one run for all betas with a run for each beta: docs/benchmarks/beta.md.

python benchmarks/multirate.py --data mnist --seeds 0 1 2 --threads 1 --out docs/benchmarks/beta.md

At each of eight betas from 0.01 to 10, the table shows the objective (distortion + beta rate) on
the test split of a run at that beta, of one run of `--multirate 0.01:10`, and of one such run of
twice the epochs. It also shows the cost of a multirate step in plain steps: twenty steps of each
alternate, nine times. The runs are kept in `--runs`, where a second call finds them.
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
from page import write_section
from run_cache import load_or_train
from turns import measure_cost_ratios

import latentia
from latentia.metrics.elbo import elbo
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.runs.provenance import describe_machine
from latentia.training.checkpoint import atomic_write
from latentia.training.loop import Loop

RECIPES = ("mnist_mlp_vae", "mnist_conv_vae")
BETAS = [float(f"{beta:.3g}") for beta in np.geomspace(0.01, 10, 8)]
RANGE = {"multirate": {"multirate": "0.01:10"}}


def measure_objective(run: RunFolder, beta: float) -> tuple[float, float]:
    """Return rate, and distortion + beta rate, in nats per test image."""
    nats = elbo(run.model(), run.images().split("test"))
    return nats["rate_nats"], nats["distortion_nats"] + beta * nats["rate_nats"]


def measure_step_cost(recipe: str, args: argparse.Namespace, repeats: int = 9) -> list[float]:
    """Return the cost of a multirate step, in steps of a plain run."""
    loops = []
    for modifiers in ({}, RANGE):
        folder = Path(tempfile.mkdtemp()) / "run"
        options = latentia.Options(threads=args.threads, precision="fp32")
        run, plan = create_run(recipe, {"data": args.data}, modifiers, options, folder)
        loops.append(Loop(plan, run, run.options))
    return measure_cost_ratios(loops[0], loops[1], repeats, steps=20)


def train_and_measure(recipe: str, seed: int, args: argparse.Namespace) -> dict:
    """Return (rate, objective) at each beta, for each kind of run of one seed."""
    options = latentia.Options(seed=seed, threads=args.threads, precision="fp32")
    folder = Path(args.runs) / recipe / str(seed)
    parameters = {"data": args.data, "epochs": args.epochs}
    single = [
        load_or_train(folder / f"{beta:g}", recipe, options, beta=beta, **parameters)
        for beta in BETAS
    ]
    points = {
        "single": [measure_objective(run, beta) for run, beta in zip(single, BETAS, strict=True)]
    }
    for name, factor in (("one", 1), ("twice", 2)):
        parameters["epochs"] = args.epochs * factor
        run = load_or_train(folder / name, recipe, options, modifiers=RANGE, **parameters)
        points[name] = [measure_objective(run.with_beta(beta), beta) for beta in BETAS]
        print(recipe, seed, name, flush=True)
    return points


def format_table(recipe: str, results: list[dict], costs: list[float]) -> list[str]:
    def objective(kind: str) -> np.ndarray:  # (seeds, betas)
        return np.array([[value for _, value in each[kind]] for each in results])

    def time_fraction(epochs: int) -> str:
        fractions = [epochs * cost / len(BETAS) for cost in costs]
        return f"{statistics.median(fractions):.2f} ({min(fractions):.2f} to {max(fractions):.2f})"

    single, one, twice = (objective(kind) for kind in ("single", "one", "twice"))
    lines = [
        f"### `{recipe}`",
        "",
        "| beta | a run for each beta | one run | difference"
        " | one run, twice the epochs | difference |",
        "|---|---|---|---|---|---|",
    ]
    for k, beta in enumerate(BETAS):
        cells = [f"{beta:g}", format_spread(single[:, k])]
        for kind in (one, twice):
            worse = kind[:, k] / single[:, k] - 1
            cells += [
                format_spread(kind[:, k]),
                f"{worse.mean():+.1%} (at most {worse.max():+.1%})",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        f"| time of all steps / that of eight runs | 1 | {time_fraction(1)} | |"
        f" {time_fraction(2)} | |",
        "",
    ]
    return lines


def format_spread(values: np.ndarray) -> str:
    return (
        f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
    )


def plot_curves(results: dict[str, list[dict]]) -> bytes:
    """Plot distortion against rate for the first seed, as PNG."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10}):
        figure = Figure(figsize=(4.2 * len(results), 3.2), layout="constrained", dpi=150)
        for axis, (recipe, seeds) in zip(
            figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True
        ):
            points = seeds[0]
            styles = {
                "single": ("a run for each beta", "o", "#c4620a", "none"),
                "one": ("one run", ".", "#2456a6", "-"),
                "twice": ("one run, twice the epochs", ".", "#8a8f98", "--"),
            }
            for kind, (label, marker, colour, line) in styles.items():
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", default="runs/multirate")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/beta.md"))
    parser.add_argument("--picture", default="docs/images/beta.png")
    args = parser.parse_args()
    results = {
        recipe: [train_and_measure(recipe, seed, args) for seed in args.seeds]
        for recipe in args.recipes
    }
    lines = [
        line
        for recipe, seed_results in results.items()
        for line in format_table(recipe, seed_results, measure_step_cost(recipe, args))
    ]
    n, cpu, threads = len(args.seeds), describe_machine()["cpu"], args.threads or "all"
    lines += [
        f"Nats per test image: distortion + beta rate, mean ± standard deviation over {n} seeds;"
        f" {args.epochs} epochs; {cpu}, {threads} threads, PyTorch {torch.__version__}. A"
        " difference is that from the run for each beta, in percent: the mean over seeds, and in"
        " brackets the largest of a seed.",
        "",
    ]
    write_section(args.out, "multirate", "\n".join(lines))
    atomic_write(Path(args.picture), plot_curves(results))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
