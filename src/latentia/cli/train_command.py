"""The commands that train: train, resume."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import arg

from latentia.cli.options import RunName
from latentia.core.errors import Error

USAGE = "latentia train RECIPE [--run DIR] [--data DATA] [--OPTION VALUE ...]"


def train(words: list[str]) -> int:
    """Train a recipe: latentia train RECIPE [--run DIR] [--data DATA] [--OPTION VALUE ...]."""
    if not words or words[0].startswith("-"):
        from latentia.runs.recipes import list_recipes

        usage = (
            f"{USAGE}; latentia train RECIPE --help shows its options; recipes: "
            f"{', '.join(list_recipes())}."
        )
        if words and words[0] in ("-h", "--help"):
            print(usage)
            return 0
        raise Error(f"No recipe was named: {usage}")
    from latentia.cli.train_actions import train_recipe

    return train_recipe(words[0], words[1:])


def resume(
    run: RunName,
    data: Annotated[
        str | None,
        arg(metavar="DATA"),
        Doc("folder, file or dataset that now holds the run's images, if they have moved"),
    ] = None,
) -> int:
    """Continue an interrupted run; the result is that of a run without interruption."""
    from latentia.cli.train_actions import resume_run

    return resume_run(run, data)
