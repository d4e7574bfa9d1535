"""Options of the commands that train: train, resume."""

from latentia.cli import options
from latentia.core.errors import Error


def train(words: list[str]) -> int:
    """Train a recipe: latentia train RECIPE [--run DIR] [--data DATA] [--OPTION VALUE ...]."""
    if not words or words[0].startswith("-"):
        from latentia.core.registries import RECIPES

        usage = (
            "latentia train RECIPE [--run DIR] [--data DATA] [--OPTION VALUE ...]; "
            f"latentia train RECIPE --help shows its options; recipes: {RECIPES.describe_names()}."
        )
        if words and words[0] in ("-h", "--help"):
            print(usage)
            return 0
        raise Error(f"No recipe was named: {usage}")
    from latentia.cli.train_actions import train_recipe

    return train_recipe(words[0], words[1:])


def resume(run: options.RunName, data: options.MovedData = None, epochs: int | None = None) -> None:
    """Continue an interrupted run, as if without interruption; or extend a run to more epochs.

    Parameters
    ----------
    epochs
        number of epochs in all, to which the run is extended: weights and optimizers go on, and
        every schedule jumps to where it would be in a run of so many; the default is the run's own
    """
