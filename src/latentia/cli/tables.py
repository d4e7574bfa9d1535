"""Results of commands as text and tables: metrics, choices, sweeps, associations, findings."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from latentia.core.text import pluralize
from latentia.latents.association import SIGNIFICANCE_LEVEL, AssociationResult
from latentia.metrics.beta_choice import BetaChoice
from latentia.metrics.result import MetricTable
from latentia.runs.folder import RunFolder
from latentia.sweep.study import Trial

COMMANDS = {"sampling": "sample", "reconstruction": "reconstruct"}  # any other purpose: encode


def print_metrics(title: str, results: MetricTable) -> None:
    """Print each metric with its standard error and the images that it was measured on."""
    table = Table("metric", "value", "n; features; note", title=title, title_justify="left")
    for result in results:
        table.add_row(result.name, result.text, result.basis)
    _print_table(table)
    print("±: one standard error.")


def print_beta_choice(choice: BetaChoice, runs: Sequence[RunFolder], run: RunFolder) -> None:
    """Print each candidate with its run, the chosen one marked, and the command that uses it."""
    print(f"{choice.figure}; {pluralize(choice.n, 'image')} of {choice.split}")
    if choice.note:
        print(choice.note)
    table = Table("beta", "value", "", "run")
    for candidate, folder in zip(choice.candidates, runs, strict=True):
        value = f"{candidate.value:.4g}{_format_error(candidate.error)}"
        mark = "chosen" if candidate is choice.chosen else ""
        table.add_row(f"{candidate.beta:g}", value, mark, folder.name)
    _print_table(table)
    print("±: one standard error.")
    print(f"For {choice.purpose}, beta {choice.chosen.beta:g}: {choice.rule}.")
    if choice.equivalent_betas:
        betas = ", ".join(f"{beta:g}" for beta in choice.equivalent_betas)
        print(f"Within one standard error of it: {betas}.")
    flags = [] if run.beta is None else ["--beta", f"{run.beta:g}"]
    print(shlex.join(["latentia", COMMANDS.get(choice.purpose, "encode"), str(run.path), *flags]))


def print_sweep(
    path: Path, total: int, trials: Sequence[Trial], front: Sequence[Trial], knee: Trial | None
) -> None:
    """Print each complete run of a sweep, by rate."""
    names = list(trials[0].settings)
    complete = f"{len(trials)} of {pluralize(total, 'run')}"
    print(f"{path}: {complete} complete; validation, nats per image")
    terms = ("rate (KL)", "distortion (reconstruction)", "negative ELBO")
    table = Table("run", *names, *terms, "")
    for trial in sorted(trials, key=lambda t: t.rate):
        mark = "knee" if trial == knee else "" if trial in front else "dominated"
        nats = (trial.rate, trial.distortion, trial.rate + trial.distortion)
        values = [trial.settings[name] for name in names]
        table.add_row(f"{trial.number:03}", *values, *(f"{v:,.2f}" for v in nats), mark)
    _print_table(table)


def print_associations(title: str, result: AssociationResult, names: list[str]) -> None:
    """Print each label's most informative dimensions, and how well they predict it."""
    k = len(result.associations[0].scores)
    heads = ("label", "most informative (nats)", "measure", "first 1", f"first {k}", "chance")
    table = Table(*heads, title=title, title_justify="left")
    for r in result.associations:
        dims = sorted(np.flatnonzero(r.p <= SIGNIFICANCE_LEVEL), key=lambda k: -r.information[k])
        best = [f"z {names[k]} ({r.information[k]:.2f})" for k in dims[:3]]
        more = [f"and {len(dims) - 3} more"] if len(dims) > 3 else []
        scores = [f"{s.value:.2f} [{s.low:.2f}, {s.high:.2f}]" for s in (r.scores[0], r.scores[-1])]
        measure = "accuracy" if r.kind == "class" else "R²"
        lines = "\n".join(best + more) or "none"
        table.add_row(r.label, lines, measure, *scores, f"{r.chance:.2f}")
    _print_table(table)
    print(
        "Most informative: latent dimensions by mutual information with the label, where "
        f"p ≤ {SIGNIFICANCE_LEVEL} over all dimensions, against permuted labels. First k: the "
        "label predicted from the k dimensions of highest rate (KL), out of fold, with 95 % "
        "intervals."
    )
    for note in result.notes:
        print(note)


def print_images(title: str, rows: pd.DataFrame) -> None:
    """Print a row for each image."""
    print(title)
    table = Table(*(Column(name, overflow="fold") for name in rows))
    for row in rows.itertuples(index=False):
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    _print_table(table)


def _format_error(error: float | None) -> str:
    return "" if error is None else f" ± {error:.2g}"


def _print_table(table: Table) -> None:
    Console(file=sys.stdout, markup=False).print(table)
