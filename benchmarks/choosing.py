"""Is the beta that `latentia choose` names as good as the best of a sweep? docs/beta.md.

python benchmarks/choosing.py --threads 1 --out docs/beta.md

On simulated speckle and on vehicles: one run of `--multirate 0.05:20`, and a run for each of five
betas of the same range, epochs and schedule. For each purpose: the beta that `choose` names for the
one run by its validation images; then, on the test images, what the one run reaches there, and the
best of the five. Error: one standard error of the figure.
"""

import argparse
from pathlib import Path

from page import put

import latentia
from latentia.metrics.rate_distortion import log_spaced_betas
from latentia.sweep.beta_choice import ImageSelection, choose_beta
from runs import trained

RANGE = (0.05, 20.0)
WORK = {
    "speckle": ({"data": "speckle:6000", "size": 32, "latent": 32}, ("reconstruction", "sampling")),
    "vehicles": (
        {"data": "vehicles:6000", "size": 32, "latent": 10},
        ("reconstruction", "sampling", "disentangling", "regression:length"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/choosing"))
    parser.add_argument("--out", type=Path, default=Path("docs/beta.md"))
    args = parser.parse_args()
    options = latentia.Options(threads=args.threads)
    lines = [
        "| data | for | figure | beta named | there, the one run | best of five runs | worse by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (knobs, purposes) in WORK.items():
        knobs = {**knobs, "likelihood": "gaussian", "epochs": args.epochs}
        rising = {"kl_schedule": {"kl_schedule": "linear", "kl_until": 0.5}}
        edits = {"multirate": {"multirate": f"{RANGE[0]}:{RANGE[1]}"}}
        one = trained(args.runs / name / "one", "conv_vae", options, edits=edits, **knobs)
        alone = [
            (
                beta,
                trained(
                    args.runs / name / f"{beta:g}",
                    "conv_vae",
                    options,
                    beta=beta,
                    edits=rising,
                    **knobs,
                ),
            )
            for beta in log_spaced_betas(RANGE, 5)
        ]
        for purpose in purposes:
            among = [(beta, one.with_beta(beta)) for beta in log_spaced_betas(RANGE)]
            selection = ImageSelection(split="test")
            named = choose_beta(among, purpose).chosen.beta
            there = choose_beta([(named, one.with_beta(named))], purpose, selection)
            rivals = choose_beta(alone, purpose, selection, tolerance=0.0)
            best, mine = rivals.chosen, there.chosen
            sign = 1 if purpose in ("reconstruction", "sampling") else -1
            worse = sign * (mine.value - best.value) / best.value
            told = [f"{each.value:.4g} ± {each.error or 0:.2g}" for each in (mine, best)]
            cells = (name, purpose, there.figure, f"{named:g}", told[0])
            row = [*cells, f"{told[1]} (beta {best.beta:g})", f"{worse:+.1%}"]
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    put(args.out, "choosing", "\n".join(lines))


if __name__ == "__main__":
    main()
