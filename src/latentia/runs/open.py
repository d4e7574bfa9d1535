"""Open a run by its folder, or by its name on the Hugging Face hub."""

from pathlib import Path

from latentia.core.errors import Error
from latentia.core.plugins import trusts_recipes
from latentia.runs.folder import AUTOENCODER, RunFolder
from latentia.runs.hub import PREFIX, fetch_run
from latentia.runs.recipes import load_recipe_file


def open_run(name: Path | str, trust_recipe: bool = False) -> RunFolder:
    """Open a folder, or hub:OWNER/NAME; trust_recipe: execute the recipe files that it names.

    Raises: Error if there is no such run
    """
    if not isinstance(name, str | Path):
        raise Error(f"The run is {name!r}; give the folder of a run, or hub:OWNER/NAME.")
    run = RunFolder.open(fetch_run(str(name)) if str(name).startswith(PREFIX) else name)
    if trust_recipe or trusts_recipes():
        parent = run.path / AUTOENCODER
        for each in (run, *([RunFolder.open(parent)] if parent.exists() else [])):
            load_recipe_file(each.metadata["recipe"])
    return run
