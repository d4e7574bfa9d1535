"""Options of the commands that search for a setting: choose, sweep."""

from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from latentia.cli import options


def choose(
    run: Positional[str],
    for_: Annotated[str, arg(name="for")],
    data: options.Data = None,
    split: str = "validation",
    labels: options.LabelFile = None,
    n: options.MostImages = None,
    json_: options.Json = False,
    *,
    points: int = 13,
    tolerance: float = 0.02,
    features: options.Features = "auto",
    seed: options.Seed = 0,
) -> None:
    """Choose the beta for a purpose, from a run of --multirate or a sweep over beta.

    Parameters
    ----------
    run : RUN
        folder of a run trained with --multirate, or of a sweep over beta
    for_ : PURPOSE
        purpose that beta is best for: reconstruction, sampling, disentangling or regression:LABEL
    split : SPLIT
        images that are measured: train, validation, test or all
    points : N
        number of betas to compare, evenly spaced in their logarithm, at least 2
    tolerance : FLOAT
        fraction, from 0 to less than 1, by which the error of a reconstruction may exceed the least
        error and still count as equal to it
    """


def sweep(
    recipe: Positional[str],
    over: UseAppendAction[tuple[str, ...]] = (),
    trials: int = 12,
    out: str | None = None,
    storage: str | None = None,
) -> None:
    """Train a recipe at many settings, and plot the best trades of distortion against rate (KL).

    All other options are those of latentia train RECIPE and hold for every run. The same command
    continues a sweep that was interrupted.

    Parameters
    ----------
    recipe : RECIPE
        recipe by its name in the output of latentia recipes, or my.py:mine for your own
    over : NAME=VALUES
        option to vary and its values: beta=log:0.05:20, lr=1e-4:1e-2 or latent=8,16,32; give --over
        once for each option
    trials : N
        number of runs in all, at least 1
    out : DIR
        folder of the sweep and its runs; the default is runs/sweep-RECIPE
    storage : URL
        database that several workers share, such as sqlite:///sweep.db; the default is a journal in
        the folder of the sweep
    """
