"""The command that shares a run on the hub."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.cli.options import RunName


def push(
    run: RunName,
    name: Annotated[
        Positional[str],
        arg(metavar="OWNER/NAME"),
        Doc("repository on the Hugging Face hub; it is created if it does not exist"),
    ],
    private: Annotated[bool, Doc("create a repository that only its owner can see")] = False,
    *,
    originals: Annotated[
        bool,
        Doc("include ten test images above their reconstructions, if the images are at hand"),
    ] = True,
) -> None:
    """Share a run on the hub: weights, settings without paths, pictures and a model card."""
    from latentia.cli.push_actions import push_run

    push_run(run, name, private, originals)
