"""Results of commands as text and tables: metrics, choices, sweeps, associations, findings."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from latentia.core.text import format_with_error, join_command, pluralize, round_to_error
from latentia.latents.association import EXPLANATION_OF_STARS, AssociationResult, get_star
from latentia.metrics.beta_choice import BetaChoice
from latentia.metrics.result import MetricTable
from latentia.runs.folder import RunFolder
from latentia.sweep.study import Trial

PRINTED_DIMS = 10
COMMANDS = {"sampling": "sample", "reconstruction": "reconstruct"}  # any other purpose: encode


def print_metrics(title: str, results: MetricTable) -> None:
    """Print each metric with its standard error and the images that it was measured on."""
    table = Table("metric", "value", "n; features; note", title=title, title_justify="left")
    for result in results:
        table.add_row(result.name, result.text, result.basis)
    _print_table(table)
    if any(result.error for result in results):
        print("±: one standard error over images, or over samples where they are compared.")
    if any(result.limits for result in results):
        print("[ ]: 95 % interval over images. chance: the same for permuted labels.")


def print_beta_choice(choice: BetaChoice, runs: Sequence[RunFolder], run: RunFolder) -> None:
    """Print each candidate with its run, the chosen one marked, and the command that uses it."""
    print(f"{choice.figure}; {pluralize(choice.n, 'image')} (split {choice.split})")
    if choice.note:
        print(choice.note)
    table = Table("beta", "value", "", "run")
    for candidate, folder in zip(choice.candidates, runs, strict=True):
        value = format_with_error(candidate.value, candidate.error)
        mark = "chosen" if candidate is choice.chosen else ""
        table.add_row(f"{candidate.beta:g}", value, mark, folder.name)
    _print_table(table)
    print("±: one standard error over images.")
    print(f"For {choice.purpose}, beta {choice.chosen.beta:g}: {choice.rule}.")
    if choice.equivalent_betas:
        betas = ", ".join(f"{beta:g}" for beta in choice.equivalent_betas)
        print(f"Within one standard error of it: {betas}.")
    flags = [] if run.beta is None else ["--beta", f"{run.beta:g}"]
    print(join_command(["latentia", COMMANDS.get(choice.purpose, "encode"), run.path, *flags]))


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
    """Print how well each label is predicted, then its most informative dimensions."""
    score = Column("out of fold", no_wrap=True)
    heads = ("label", "predicted by", "dimensions", score, "chance", "n")
    predictions = Table(*heads, title=title, title_justify="left")
    for r in result.associations:
        last = len(r.scores)
        features = [(r.features, f"{r.features.dims} of features")] if r.features else []
        rows = [(r.linear, "all"), (r.neighbors, "all"), (r.scores[-1], f"first {last} by rate")]
        for probe, dims in [*rows[: 3 if last < len(names) else 2], *features]:
            label = f"{r.label}, {probe.measure}" if probe is r.linear else ""
            chance = f"{probe.chance:z.2f}"
            predictions.add_row(label, probe.method, dims, probe.text, chance, f"{probe.n:,}")
        predictions.add_section()
    _print_table(predictions)
    print(
        "Out of fold: accuracy or R² in 5 held-out folds of n images with 95 % interval; penalties "
        "are chosen in the training folds. Chance: the same for permuted labels."
    )
    dims = Table("label", "dimension", "nats", "95 %", "of entropy", "p")
    for r in result.associations:
        for row, k in enumerate(r.order[:PRINTED_DIMS]):
            interval, star = f"[{r.low[k]:z.2f}, {r.high[k]:z.2f}]", get_star(r, k)
            nats, share = f"{r.information[k]:z.2f}{star}", f"{100 * r.share[k]:z.0f} %"
            p = f"{r.p[k]:.2g}"
            dims.add_row("" if row else r.label, f"z {names[k]}", nats, interval, share, p)
        dims.add_section()
    _print_table(dims)
    if len(names) > PRINTED_DIMS:
        print(f"{len(names) - PRINTED_DIMS} more dimensions of each label in --json.")
    print(f"nats: mutual information of a dimension and the label. {EXPLANATION_OF_STARS}")
    for note in result.notes:
        print(note)


def print_images(title: str, rows: pd.DataFrame) -> None:
    """Print a row for each image."""
    print(title)
    if rows.empty:
        return
    table = Table(*(Column(name, overflow="fold") for name in rows))
    error = (rows["high"] - rows["low"]) / 2 if {"low", "high"} <= {*rows} else [None] * len(rows)
    for row, half in zip(rows.itertuples(index=False), error, strict=True):
        cells = (round_to_error([x], half)[0] if isinstance(x, float) else str(x) for x in row)
        table.add_row(*cells)
    _print_table(table)


def _print_table(table: Table) -> None:
    Console(file=sys.stdout, markup=False).print(table)
