"""Compare the beta of `latentia choose` with the best of a sweep: docs/benchmarks/beta.md.

python benchmarks/choosing.py --threads 1 --out docs/benchmarks/beta.md

The data are simulated speckle and vehicles. On each, one run is trained with `--multirate 0.05:20`,
and one run for each of five betas of the same range, with the same epochs and schedule. For each
purpose, `choose` names a beta of the first run by its validation images. The table then compares,
on the test images, the first run at this beta with the best of the five runs. Errors are one
standard error.
"""

import argparse
from pathlib import Path

from page import write_section
from run_cache import load_or_train

import latentia
from latentia.core.text import format_with_error
from latentia.metrics.rate_distortion import log_spaced_betas
from latentia.sweep.beta_choice import ImageSelection, choose_beta

RANGE = (0.05, 20.0)
WORK = {
    "speckle": ({"data": "speckle:6000", "size": 32, "latent": 32}, ("reconstruction", "sampling")),
    "vehicles": (
        {"data": "vehicles:6000", "size": 32, "latent": 10},
        ("reconstruction", "sampling", "disentangling", "regression:length"),
    ),
}
WARMUP = {"kl_schedule": {"kl_schedule": "linear", "kl_until": 0.5}}
ON_TEST = ImageSelection(split="test")
MULTIRATE = {"multirate": {"multirate": f"{RANGE[0]}:{RANGE[1]}"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/choosing"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/beta.md"))
    args = parser.parse_args()
    options = latentia.Options(threads=args.threads, precision="fp32")
    lines = [
        "| data | purpose | quantity | chosen beta | multirate run | best of five runs"
        " | worse by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (data, purposes) in WORK.items():
        folder = args.runs / name
        parameters = {**data, "likelihood": "gaussian", "epochs": args.epochs}
        multirate = load_or_train(
            folder / "one", "conv_vae", options, modifiers=MULTIRATE, **parameters
        )
        single_runs = []
        for beta in log_spaced_betas(RANGE, 5):
            path, run_parameters = folder / f"{beta:g}", {**parameters, "beta": beta}
            run = load_or_train(path, "conv_vae", options, modifiers=WARMUP, **run_parameters)
            single_runs.append((beta, run))
        for purpose in purposes:
            candidates = [(beta, multirate.with_beta(beta)) for beta in log_spaced_betas(RANGE)]
            beta = choose_beta(candidates, purpose).chosen.beta
            test = choose_beta([(beta, multirate.with_beta(beta))], purpose, ON_TEST)
            best = choose_beta(single_runs, purpose, ON_TEST, tolerance=0.0).chosen
            sign = 1 if purpose in ("reconstruction", "sampling") else -1
            worse = sign * (test.chosen.value - best.value) / best.value
            values = [format_with_error(each.value, each.error) for each in (test.chosen, best)]
            cells = (name, purpose, test.figure, f"{beta:g}", values[0])
            row = [*cells, f"{values[1]} (beta {best.beta:g})", f"{worse:+.1%}"]
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    write_section(args.out, "choosing", "\n".join(lines))


if __name__ == "__main__":
    main()
