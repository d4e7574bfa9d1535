"""Options of the command fit."""

from typing import Literal

from tyro.conf import Positional

from latentia.cli import options


def fit(
    folder: Positional[str],
    minutes: float = 10.0,
    run: str | None = None,
    labels: options.LabelFile = None,
    features: Literal["auto", "efficientnet", "none"] = "auto",
) -> None:
    """Learn coordinates of a folder of images and draw new ones, in the minutes given.

    An encoder and decoder are trained, then a learned prior; the table of all images and one report
    follow. The commands are printed, and the same command continues one that was killed. All
    options of `latentia train photo_vae` hold too, in place of what the rules choose. --cond
    COLUMN removes a known label, such as the plate, from the coordinates; such a fit learns no
    prior.

    Parameters
    ----------
    folder : IMAGES
        folder of images, or another source that latentia train takes as --data
    minutes : MINUTES
        time of the whole command; it gives the numbers of epochs
    run : DIR
        folder of the run; the default is runs/ and the name of the images, and the prior's folder
        ends in -prior
    features
        pretrained features that the coordinates carry beside the pixels; auto takes efficientnet if
        its package is installed and its features distinguish these images
    """
