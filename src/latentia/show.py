"""A run's events on the terminal: a bar where there is one, plain lines elsewhere."""

import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from latentia.core import distributed
from latentia.core.spans import STEP
from latentia.core.text import counted
from latentia.diagnostics.diagnose import Report
from latentia.diagnostics.run_context import Patient
from latentia.diagnostics.suggested_commands import longer
from latentia.latents.association import LEVEL, Related
from latentia.metrics.beta_choice import Choice
from latentia.runs.folder import RunFolder
from latentia.sweep.study import Trial
from latentia.training.events import Event, Finding, Finished, Logged, Profiled, Validated

EVERY = 5.0  # seconds between lines
WIDTH = 100  # of a finding; commands are longer, and stay whole
CODES = {"complete": 0, "stopped": 130, "non-finite": 1}


def show(run: RunFolder, events: Iterator[Event]) -> int:
    """Prints what happens and where the result lies; returns the exit code."""
    if distributed.rank():  # the first process speaks
        ends = [event for event in events if isinstance(event, Finished)]
        return CODES[ends[-1].reason]
    console = Console(stderr=True)
    for line in [_images(run), *run.metadata.get("notes", [])]:
        print(line, file=sys.stderr)
    try:
        shown = _bar(console, run, events) if console.is_terminal else _lines(events)
    except KeyboardInterrupt:
        print(f"Interrupted; what was saved is in {run.path}.")
        print(shlex.join(["latentia", "resume", str(run.path)]))
        return 130
    if shown.reason == "complete":
        print(run.path / "report.html")
    if shown.reason == "stopped":
        print(f"Stopped at step {shown.step:,} of {shown.total:,}; saved in {run.path}.")
        print(shlex.join(["latentia", "resume", str(run.path)]))
    return CODES[shown.reason]


def finished(run: RunFolder) -> None:
    """Of a run with nothing left to do: that this is so, and what makes a longer one."""
    patient = Patient(run)
    if not patient.complete:
        return
    print(f"{run.name} is finished: step {patient.step:,} of {patient.total:,}.")
    if again := longer(patient, 0, least=2):
        print("Its schedules end there, so a longer run is a new one, for instance twice as long:")
        print(*again, sep="\n")


def _images(run: RunFolder) -> str:
    spec = run.metadata["images"]
    c, h, w = spec["shape"]
    counts = ", ".join(f"{n:,} {split}" for split, n in spec["count"].items())
    kind = {1: "grey", 3: "colour"}.get(c, f"{c} channels")
    return f"{spec['source']}: {counts}; {h}x{w} {kind}"


def _bar(console: Console, run: RunFolder, events: Iterator[Event]) -> Finished:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[said]}"),
    )
    pace = Pace()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(run.name, total=None, said="starting")

        def on_logged(event: Logged) -> None:
            said = f"{pace.per_second(event):,.0f} images/s  {_terms(event)}"
            progress.update(task, completed=event.step, total=event.total, said=said)

        def say(text: str) -> None:  # commands stay whole, and [...] is no markup
            progress.console.print(text, soft_wrap=True, markup=False, highlight=False)

        return _say(events, on_logged, say)


def _lines(events: Iterator[Event]) -> Finished:
    pace, often = Pace(), Throttle()

    def say(text: str) -> None:
        print(text, flush=True)

    def on_logged(event: Logged) -> None:
        rate = pace.per_second(event)
        if often.allows():
            left = (event.total - event.step) * event.images / event.step / rate if rate else 0
            pace_said = f"{rate:,.0f} images/s  {left:,.0f} s left  " if rate else ""
            say(f"step {event.step:,}/{event.total:,}  {pace_said}{_terms(event)}")

    return _say(events, on_logged, say)


def _say(
    events: Iterator[Event], on_logged: Callable[[Logged], None], say: Callable[[str], None]
) -> Finished:
    """Findings at once, what was said of them before only once; validations at intervals, and the
    last one in any case, each before what comes after it.
    """
    often, waiting, last = Throttle(), None, None
    found: dict[str, Finding] = {}
    for event in events:
        if waiting and isinstance(event, Finding | Finished):
            say(_validation(waiting))
            waiting = None
        if isinstance(event, Logged):
            on_logged(event)
        elif isinstance(event, Finding):
            before, found[event.kind] = found.get(event.kind), event
            if before is None or before.cure != event.cure:
                say(told(event))
            elif before.text != event.text:  # new figures, and nothing else is new
                say(told(event._replace(means="", cure=())))
        elif isinstance(event, Profiled):
            say(profiled(event))
        elif isinstance(event, Validated):
            waiting = event
            if often.allows():
                say(_validation(event))
                waiting = None
        elif isinstance(event, Finished):
            last = event
    assert last is not None  # every run ends in one
    return last


def profiled(event: Profiled) -> str:
    """A line for each part of a step."""
    parts = dict(event.milliseconds)
    total, rest = sum(parts.values()), parts.pop(STEP)
    lines = [f"  {k:<10}{v:9.2f} ms {v / total:6.1%}" for k, v in parts.items()]
    head = f"A step took {total:.2f} ms (mean of {event.steps}; {rest:.2f} ms in none of these):"
    return "\n".join([head, *lines, event.path])


class Throttle:
    """True at most once in EVERY seconds."""

    def __init__(self) -> None:
        self.last = -EVERY

    def allows(self) -> bool:
        allowed = time.monotonic() - self.last >= EVERY
        if allowed:
            self.last = time.monotonic()
        return allowed


class Pace:
    """Images a second since the first event that was seen."""

    def __init__(self) -> None:
        self.start, self.images = time.monotonic(), None

    def per_second(self, event: Logged) -> float:
        if self.images is None:
            self.start, self.images = time.monotonic(), event.images
        return (event.images - self.images) / max(time.monotonic() - self.start, 1e-9)


def _terms(event: Logged) -> str:
    terms = {k: v for said in event.players.values() for k, v in said["terms"].items()}
    return "  ".join(f"{name} {value:,.2f}" for name, value in terms.items()) + " nats"


def _validation(event: Validated) -> str:
    values = "  ".join(
        f"{k} {v:,.4f}" if k == "mse" else f"{k} {v:,.2f}" for k, v in event.values.items()
    )
    best = "  best so far" if event.selected else ""
    beta = ", beta 1" if "nelbo" in event.values else ""
    return f"epoch {event.epoch}  validation ({counted(event.n, 'image')}{beta}): {values}{best}"


def told(finding: Finding) -> str:
    """What was found, what it means, and the commands that mend it."""
    mark = f"{finding.severity:<5}"
    first = textwrap.fill(
        f"{finding.kind}: {finding.text}",
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
    )
    body = textwrap.indent(textwrap.fill(finding.means, WIDTH - len(mark)), " " * len(mark))
    cure = [" " * len(mark) + command for command in finding.cure]  # whole, to be copied
    return "\n".join(line for line in (first, body, *cure) if line)


def examined(report: Report) -> str:
    """The doctor's report, worst first."""
    parts = [report.verdict, *map(told, report.findings), *report.unseen]
    return "\n\n".join(parts)


def figures(title: str, metrics: dict[str, list[dict[str, Any]]]) -> None:
    """Every figure with its standard error and what it was measured on."""
    sheet = Table("figure", "value", "n; features; what", title=title, title_justify="left")
    for row in (figure for each in metrics.values() for figure in each):
        value, error, n = row["value"], row["error"], row["n"]
        shown = "not finite" if value is None else f"{value:,.5g}"
        spread = "" if error is None else f" ± {error:.2g}"
        counts = " and ".join(f"{each:,}" for each in (n if isinstance(n, tuple) else (n,)))
        of = "; ".join(filter(None, (counts, row["features"], row["note"])))
        sheet.add_row(row["name"], f"{shown}{spread} {row['unit']}".rstrip(), of)
    Console(file=sys.stdout, markup=False).print(sheet)
    print("±: one standard error.")


USES = {"sampling": "sample", "reconstruction": "reconstruct"}  # else the coordinates are wanted


def choice(found: Choice, runs: Sequence[RunFolder], run: RunFolder) -> None:
    """Every candidate with its run, the chosen one marked, and the command that uses it."""
    print(f"{found.figure}; {counted(found.n, 'image')} of {found.split}")
    if found.note:
        print(found.note)
    sheet = Table("beta", "value", "", "run")
    for each, own in zip(found.candidates, runs, strict=True):
        spread = "" if each.error is None else f" ± {each.error:.2g}"
        mark = "chosen" if each is found.chosen else ""
        sheet.add_row(f"{each.beta:g}", f"{each.value:.4g}{spread}", mark, own.name)
    Console(file=sys.stdout, markup=False).print(sheet)
    print("±: one standard error.")
    print(f"For {found.purpose}, beta {found.chosen.beta:g}: {found.rule}.")
    if found.alike:
        print(f"Within one standard error of it: {', '.join(f'{b:g}' for b in found.alike)}.")
    asked = [] if run.beta is None else ["--beta", f"{run.beta:g}"]
    print(shlex.join(["latentia", USES.get(found.purpose, "encode"), str(run.path), *asked]))


def swept(
    path: Path, asked: int, trials: Sequence[Trial], front: Sequence[Trial], knee: Trial | None
) -> None:
    """Every run of a sweep, by rate."""
    names = list(trials[0].settings)
    many = f"{len(trials)} of {counted(asked, 'run')}"
    print(f"{path}: {many} came to an end; validation, nats per image")
    sheet = Table("run", *names, "rate", "distortion", "negative ELBO", "")
    for trial in sorted(trials, key=lambda t: t.rate):
        mark = "knee" if trial == knee else "" if trial in front else "beaten"
        told = (trial.rate, trial.distortion, trial.rate + trial.distortion)
        values = [trial.settings[name] for name in names]
        sheet.add_row(f"{trial.number:03}", *values, *(f"{v:,.2f}" for v in told), mark)
    Console(file=sys.stdout, markup=False).print(sheet)


def relations(title: str, found: Related, names: list[str]) -> None:
    """The dimension that tells most of each label, and how well the label is read from them."""
    sheet = Table(title=title, title_justify="left")
    last = len(found.relations[0].scores)
    for head in (
        "label",
        "told by (nats)",
        "measure",
        "first 1",
        f"first {last}",
        "chance",
    ):
        sheet.add_column(head)
    for r in found.relations:
        told = sorted(np.flatnonzero(r.p <= LEVEL), key=lambda k: -r.information[k])
        best = [f"z {names[k]} ({r.information[k]:.2f})" for k in told[:3]]
        more = [f"and {len(told) - 3} more"] if len(told) > 3 else []
        ends = [f"{s.value:.2f} [{s.low:.2f}, {s.high:.2f}]" for s in (r.scores[0], r.scores[-1])]
        measure = "accuracy" if r.kind == "class" else "R²"
        sheet.add_row(r.label, "\n".join(best + more) or "none", measure, *ends, f"{r.chance:.2f}")
    Console(file=sys.stdout, markup=False).print(sheet)
    print(
        f"Told by: at p ≤ {LEVEL} over all dimensions of a label, against permuted labels. First k"
        " dimensions by rate; out of fold, 95 % intervals."
    )
    for note in found.notes:
        print(note)
