"""Open a run by its folder, or by its name on the Hugging Face hub."""

from pathlib import Path

from latentia.core.errors import Error
from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX, fetch_run


def open_run(name: Path | str) -> RunFolder:
    """Open a folder, or hub:OWNER/NAME. Raises: Error if there is no such run."""
    if not isinstance(name, str | Path):
        raise Error(
            f"The run is {name!r}; give the folder of a run, such as 'runs/a', or hub:OWNER/NAME."
        )
    return RunFolder.open(fetch_run(str(name)) if str(name).startswith(PREFIX) else name)
