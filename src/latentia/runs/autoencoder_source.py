"""The autoencoder on whose latents a learned prior is trained."""

from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.data.reading import READING_OPTIONS
from latentia.runs.build import AUTOENCODER
from latentia.runs.diffusers import open_diffusers_folder
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.runs.recipes import DIFFUSERS
from latentia.training.plan import Options


def find_autoencoder(recipe: str, arguments: dict[str, Any], options: Options) -> RunFolder | None:
    """The run that the parameter `autoencoder` names; its path in `arguments` becomes absolute.

    For diffusers:FOLDER the images are opened too, since such a folder has none of its own.

    Raises: Error if the recipe has this parameter and no run is named.
    """
    if AUTOENCODER not in arguments:
        return None
    source = getattr(arguments[AUTOENCODER], "folder", arguments[AUTOENCODER])  # that of a Run
    if not isinstance(source, RunFolder | str | Path | None):
        raise Error(
            f"The autoencoder is a {type(source).__name__} of no run; give a run's folder, or a "
            "Run that latentia.train or latentia.load returned."
        )
    if source is None:
        raise Error(
            f"{recipe} learns the latents of a run: give its folder with --autoencoder, for "
            "instance one of `latentia train digits_vae`."
        )
    size = arguments.get("size")
    if str(source).startswith(f"{DIFFUSERS}:"):
        folder = Path(str(source).partition(":")[2]).expanduser().resolve()
        arguments[AUTOENCODER] = f"{DIFFUSERS}:{folder}"
        run, arguments["data"] = open_diffusers_folder(folder, arguments["data"], size, options)
        return run
    run = source if isinstance(source, RunFolder) else open_run(source)
    if run.beta is not None:
        raise Error(f"The autoencoder is {run.name}; give the folder of the run, at its own beta.")
    if AUTOENCODER in run.metadata["arguments"]:  # a prior's latents are its autoencoder's
        run = RunFolder.open(run.path / AUTOENCODER)
    if size is not None:
        raise Error(f"--size has no effect: images are read as those of {run.path}; leave it out.")
    arguments[AUTOENCODER] = str(run.path.resolve())
    return run


def check_data_options(run: RunFolder, options: Options) -> None:
    """Raises: Error if a run built on `run` would read or split its images in another way."""
    for name in {*READING_OPTIONS} - {"seed"}:
        allowed = [getattr(each, name) for each in (Options(), run.options)]
        if getattr(options, name) not in allowed:
            option = name.replace("_", "-")
            raise Error(
                f"--{option} has no effect: images are read as those of {run.path}; omit it."
            )
