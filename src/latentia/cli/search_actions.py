"""The choice of a beta and the training of a sweep, behind the commands of search_commands.py."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from latentia.cli.options import Inputs
from latentia.cli.tables import print_beta_choice, print_sweep
from latentia.cli.terminal import show_training
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core.errors import Error
from latentia.core.parameters import require_at_least
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.metrics.beta_choice import save_choice
from latentia.metrics.rate_distortion import find_knee, pareto_front
from latentia.report.grids import save
from latentia.report.latent_figures import render_figure
from latentia.report.rate_distortion_figures import draw_sweep
from latentia.sweep.beta_choice import ImageSelection, choose_beta, find_candidates
from latentia.sweep.study import Setting, Sweep
from latentia.training.device import keep_freed_memory


def report_beta_choice(
    inputs: Inputs, purpose: str, points: int, settings: Mapping[str, Any], as_json: bool
) -> None:
    tolerance, n = settings["tolerance"], settings["n"]
    require_at_least("--points", points, 2)
    if not 0 <= tolerance < 1:
        raise Error(f"--tolerance is {tolerance:g}; it must be at least 0 and less than 1.")
    require_at_least("-n", n, 2)
    candidates = find_candidates(inputs.run, points)
    label, labels = purpose.partition(":")[2], SOURCE_LABELS
    if inputs.labels:  # missing values of other columns leave no image out
        labels = Labels(inputs.labels, [label] if label else None, "drop")
    selection = ImageSelection(inputs.data, inputs.split, labels, n)
    rest = {name: settings[name] for name in ("features", "tolerance", "seed")}
    choice = choose_beta(candidates, purpose, selection, **rest)
    runs = [run for _, run in candidates]
    best = runs[choice.candidates.index(choice.chosen)]
    if best.beta is not None:  # a run of many betas
        save_choice(best, choice)
    if as_json:
        record = {**choice._asdict(), "chosen": choice.chosen._asdict(), "run": str(best.path)}
        record["candidates"] = [candidate._asdict() for candidate in choice.candidates]
        print(json.dumps(record, indent=1))
        return
    print_beta_choice(choice, runs, best)


def sweep_recipe(values: Mapping[str, Any], rest: list[str], words: list[str]) -> int:
    """Train the runs of a sweep; `rest` are the words of latentia train, `words` all words."""
    recipe = values["recipe"]

    def parse(axes: dict[str, str]) -> Setting:
        flags = [word for name, value in axes.items() for word in (f"--{name}", value)]
        arguments = parse_train_arguments(recipe, [*rest, *flags])
        if arguments.run:
            raise Error("A sweep names its runs itself; leave --run out, or give --out FOLDER.")
        return Setting(arguments.parameters, arguments.options, arguments.modifiers)

    sweep = Sweep(
        recipe, values["over"], values["trials"], parse, rest, values["out"], values["storage"]
    )
    keep_freed_memory()
    if code := sweep.run_trials(show_training):
        print(f"Stopped; run the same command to continue: latentia sweep {shlex.join(words)}")
        return code
    trials = sweep.list_trials()
    if not trials:
        raise Error(f"No run of {sweep.path} is complete; look at their reports.")
    front = pareto_front(trials)
    knee = find_knee(front)
    print_sweep(sweep.path, len(sweep.settings), trials, front, knee)
    names = [" ".join(f"{k} {v}" for k, v in trial.settings.items()) for trial in trials]
    figure = draw_sweep(trials, names, front, knee)
    print(save(str(sweep.path / "sweep.png"), {".png": lambda: render_figure(figure, "png")}))
    return 0
