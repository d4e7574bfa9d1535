"""The commands that find a setting: choose, sweep."""

import json
import shlex
from dataclasses import dataclass
from typing import Annotated

import tyro
from typing_extensions import Doc
from tyro.conf import Positional, UseAppendAction, arg

from latentia.commands.flags import Data, Json, RunFolder, Seed
from latentia.core.errors import Error


def choose(
    run: RunFolder,
    for_: Annotated[
        str,
        arg(name="for"),
        Doc("reconstruction, sampling, disentangling or regression:LABEL"),
    ],
    data: Data = None,
    split: Annotated[str, Doc("train, validation, test or all")] = "validation",
    labels: Annotated[
        str | None, Doc(".csv or .parquet that holds the label, joined by file name")
    ] = None,
    points: Annotated[int, Doc("betas that are compared, evenly in their logarithm")] = 13,
    tolerance: Annotated[
        float, Doc("of reconstruction: how much more than the least error is as good")
    ] = 0.02,
    features: Annotated[
        str, Doc("of sampling: auto, classifier, pixels, inception or dinov2")
    ] = "auto",
    n: Annotated[
        int | None, arg(aliases=("-n",)), Doc("images; default: all, for distances at most 10,000")
    ] = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Name the beta for a purpose: of a run of --multirate, or of a sweep over beta."""
    from latentia.data.labels import UNLABELLED, Labels
    from latentia.doctor.choose import candidates
    from latentia.doctor.choose import choose as chosen
    from latentia.metrics.choice import keep
    from latentia.show import choice

    if points < 2:
        raise Error(f"--points is {points}; it must be at least 2.")
    if not 0 <= tolerance < 1:
        raise Error(f"--tolerance is {tolerance:g}; it must be at least 0 and less than 1.")
    if n is not None and n < 2:
        raise Error(f"-n is {n}; it must be at least 2.")
    among = candidates(run, points)
    wanted = for_.partition(":")[2]  # gaps in other columns leave no image out
    table = Labels(labels, [wanted] if wanted else None, "left out") if labels else UNLABELLED
    how = {"features": features, "n": n, "tolerance": tolerance, "seed": seed}
    found = chosen(among, for_, data=data, split=split, labels=table, **how)
    runs = [one for _, one in among]
    best = runs[found.candidates.index(found.chosen)]
    if best.beta is not None:  # a run of many betas
        keep(best, found)
    if json_:
        told = {**found._asdict(), "chosen": found.chosen._asdict(), "run": str(best.path)}
        told["candidates"] = [each._asdict() for each in found.candidates]
        print(json.dumps(told, indent=1))
        return
    choice(found, runs, best)


@dataclass
class Swept:
    """The flags of a sweep; every other one is of latentia train RECIPE."""

    recipe: Annotated[Positional[str], Doc("recipe, or my.py:mine")]
    over: Annotated[
        UseAppendAction[tuple[str, ...]],
        Doc("beta=log:0.05:20, lr=1e-4:1e-2 or latent=8,16,32; again for another knob"),
    ] = ()
    trials: Annotated[int, Doc("runs in all")] = 12
    out: Annotated[str | None, Doc("folder of the sweep; default runs/sweep-RECIPE")] = None
    storage: Annotated[
        str | None, Doc("database that workers share; default: a journal in the folder")
    ] = None


def sweep(words: list[str]) -> int:
    """Train a recipe at many settings; draw the best of distortion against rate, and its knee."""
    given, rest = tyro.cli(
        Swept,
        args=words,
        prog="latentia sweep",
        return_unknown_args=True,
        use_underscores=False,
    )
    from latentia.engine.device import keep_memory
    from latentia.metrics.curve import knee, pareto
    from latentia.report.coordinates import rendered
    from latentia.report.pictures import put
    from latentia.report.trade import sweep_figure
    from latentia.show import show, swept
    from latentia.sweep import Sweep

    made = Sweep(given.recipe, given.over, given.trials, rest, given.out, given.storage)
    keep_memory()
    code = made.run(show)
    if code:
        print(f"Stopped; the same command goes on: latentia sweep {shlex.join(words)}")
        return code
    trials = made.trials()
    if not trials:
        raise Error(f"No run of {made.path} came to an end; look at their reports.")
    front = pareto(trials)
    bend = knee(front)
    swept(made.path, len(made.settings), trials, front, bend)
    names = [" ".join(f"{k} {v}" for k, v in trial.settings.items()) for trial in trials]
    figure = sweep_figure(trials, names, front, bend)
    print(put(str(made.path / "sweep.png"), {".png": lambda: rendered(figure, "png")}))
    return 0
