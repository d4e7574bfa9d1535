"""Options of the commands that train: train, fit, resume."""

import inspect

from latentia.cli import options
from latentia.core.errors import Error

FIT_HELP = """\
IMAGES      folder of images, or another source that latentia train takes as --data
--minutes   time of the whole command, in minutes; it gives the numbers of epochs (default 10)
--run       folder of the run, which the same command continues; the default is runs/ and the name
            of IMAGES, and the prior's folder ends in -prior
--labels    table of labels (.csv or .parquet), joined to the images by file name
--features  pretrained features that the coordinates carry beside the pixels; auto takes
            efficientnet if its package is installed
--OPTION    any option of `latentia train photo_vae --help`, in place of what the rules choose"""


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


def fit(words: list[str]) -> int:
    """Learn coordinates of a folder of images and draw new ones: latentia fit IMAGES --minutes 10.

    It trains an encoder and decoder, then a learned prior, and writes the table of all images and
    one report. The same command continues one that was killed.
    """
    usage = (
        "latentia fit IMAGES [--minutes 10] [--run DIR] [--labels FILE] [--features "
        "{auto,efficientnet,none}] [--OPTION VALUE ...]"
    )
    if words and words[0] in ("-h", "--help"):
        print(f"{inspect.getdoc(fit)}\n\n{usage}\n\n{FIT_HELP}")
        return 0
    if not words or words[0].startswith("-"):
        raise Error(f"No images were named: {usage}.")
    from latentia.cli.train_actions import fit_images

    return fit_images(words[0], words[1:])


def resume(
    run: options.RunName, data: options.MovedData = None, epochs: options.Epochs = None
) -> None:
    """Continue an interrupted run, as if without interruption; or extend a run to more epochs."""
