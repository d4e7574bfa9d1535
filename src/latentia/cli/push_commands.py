"""Options of the command that shares a run on the hub."""

from tyro.conf import Positional

from latentia.cli import options


def push(
    run: options.RunName, name: Positional[str], private: bool = False, *, originals: bool = True
) -> None:
    """Share a run on the hub: weights, settings without paths, pictures and a model card.

    Parameters
    ----------
    name : OWNER/NAME
        repository on the Hugging Face hub; it is created if it does not exist
    private
        create a repository that only its owner can see
    originals
        include ten test images above their reconstructions, if the images are at hand
    """
