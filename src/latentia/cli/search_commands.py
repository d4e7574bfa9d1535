"""The commands that search for a setting: choose, sweep."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, UseAppendAction, arg

from latentia.cli.arguments import make_options, parse_known
from latentia.cli.options import Data, Features, Inputs, Json, Seed


def choose(
    run: Annotated[
        Positional[str],
        arg(metavar="RUN"),
        Doc("folder of a run trained with --multirate, or of a sweep over beta"),
    ],
    for_: Annotated[
        str,
        arg(name="for", metavar="PURPOSE"),
        Doc("purpose of the run: reconstruction, sampling, disentangling or regression:LABEL"),
    ],
    data: Data = None,
    split: Annotated[
        str,
        arg(metavar="SPLIT"),
        Doc("images that are measured: train, validation, test or all"),
    ] = "validation",
    labels: Annotated[
        str | None,
        arg(metavar="FILE"),
        Doc(
            "table (.csv or .parquet) that holds the label of regression:LABEL, joined to the "
            "images by file name"
        ),
    ] = None,
    n: Annotated[
        int | None,
        arg(aliases=("-n",)),
        Doc("number of images, at least 2; by default all, for distances at most 10,000"),
    ] = None,
    json_: Json = False,
    *,
    points: Annotated[
        int, Doc("number of betas to compare, evenly spaced in their logarithm, at least 2")
    ] = 13,
    tolerance: Annotated[
        float,
        Doc(
            "for reconstruction: a beta is as good as the best if its error is larger by at most "
            "this fraction, from 0 to less than 1"
        ),
    ] = 0.02,
    features: Features = "auto",
    seed: Seed = 0,
) -> None:
    """Choose the beta for a purpose, from a run of --multirate or from a sweep over beta."""
    from latentia.cli.search_actions import choose_beta

    options = {"features": features, "n": n, "tolerance": tolerance, "seed": seed}
    choose_beta(Inputs(run, data, split), for_, labels, points, options, json_)


def sweep_options(
    recipe: Annotated[
        Positional[str],
        arg(metavar="RECIPE"),
        Doc("name of a recipe, as `latentia recipes` lists them, or my.py:mine for your own"),
    ],
    over: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="NAME=VALUES"),
        Doc(
            "option to vary and its values: beta=log:0.05:20, lr=1e-4:1e-2 or latent=8,16,32; "
            "give --over once for each option"
        ),
    ] = (),
    trials: Annotated[int, Doc("number of runs in all, at least 1")] = 12,
    out: Annotated[
        str | None,
        arg(metavar="DIR"),
        Doc("folder of the sweep and its runs; the default is runs/sweep-RECIPE"),
    ] = None,
    storage: Annotated[
        str | None,
        arg(metavar="URL"),
        Doc(
            "database that several workers share, such as sqlite:///sweep.db; the default is a "
            "journal in the folder of the sweep"
        ),
    ] = None,
) -> None:
    """Train a recipe at many settings, and find the best trades of distortion against rate (KL).

    All other options are those of latentia train RECIPE and hold for every run. The same command
    continues a sweep that was interrupted.
    """


def sweep(words: list[str]) -> int:
    """Train a recipe at many settings; draw the best of distortion against rate, and the knee."""
    names = ("recipe", "over", "trials", "out", "storage")
    main = make_options("sweep", sweep_options, names)
    values, rest = parse_known(main, "latentia sweep", words, sweep_options)
    from latentia.cli.search_actions import sweep_recipe

    return sweep_recipe(values, rest, words)
