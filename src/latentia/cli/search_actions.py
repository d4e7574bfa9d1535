"""Choice of a beta, and training of the runs of a sweep."""

import json
from types import SimpleNamespace

from latentia.cli.tables import print_beta_choice, print_sweep
from latentia.cli.terminal import show_training
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core.errors import Error
from latentia.core.parameters import require_at_least
from latentia.core.plugins import list_plugin_words
from latentia.core.text import join_command
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.metrics.beta_choice import save_choice
from latentia.metrics.rate_distortion import find_knee, pareto_front
from latentia.report.figures import render_figure
from latentia.report.grids import save
from latentia.report.rate_distortion_figures import draw_sweep
from latentia.sweep.beta_choice import ImageSelection, choose_beta, find_candidates
from latentia.sweep.study import Setting, Sweep
from latentia.training.device import keep_freed_memory


def choose(args: SimpleNamespace) -> None:
    require_at_least("--points", args.points, 2)
    if not 0 <= args.tolerance < 1:
        raise Error(f"--tolerance is {args.tolerance:g}; it must be at least 0 and less than 1.")
    require_at_least("-n", args.n, 2)
    require_at_least("--seed", args.seed, 0)
    candidates = find_candidates(args.run, args.points)
    label, labels = args.for_.partition(":")[2], SOURCE_LABELS
    if args.labels:  # missing values of other columns leave no image out
        labels = Labels(args.labels, [label] if label else None, "drop")
    selection = ImageSelection(args.data, args.split, labels, args.n)
    options = {name: getattr(args, name) for name in ("features", "tolerance", "seed")}
    choice = choose_beta(candidates, args.for_, selection, **options)
    runs = [run for _, run in candidates]
    best = runs[choice.candidates.index(choice.chosen)]
    if args.json_:
        print(json.dumps({**choice.to_json(), "run": str(best.path)}, indent=1))
    else:
        print_beta_choice(choice, runs, best)
    if best.beta is not None:  # a run of many betas
        save_choice(best, choice)  # printed before, if the disk is full


def sweep(args: SimpleNamespace, rest: list[str], words: list[str]) -> int:
    """Train the runs of a sweep; `rest` are the words of latentia train, `words` all words."""
    recipe = args.recipe

    def parse(axes: dict[str, str]) -> Setting:
        flags = [word for name, value in axes.items() for word in (f"--{name}", value)]
        arguments = parse_train_arguments(recipe, [*rest, *flags])
        if arguments.run:
            raise Error("A sweep names its runs itself; leave --run out, or give --out FOLDER.")
        return Setting(arguments.parameters, arguments.options, arguments.modifiers)

    sweep = Sweep(recipe, args.over, args.trials, parse, rest, args.out, args.storage)
    keep_freed_memory()
    if code := sweep.run_trials(show_training):
        command = join_command(["latentia", "sweep", *words, *list_plugin_words()])
        print(f"Stopped; run the same command to continue: {command}")
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
