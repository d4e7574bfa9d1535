"""Open a run by its folder, or by its name on the hub."""

from pathlib import Path

from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX, fetch_run


def open_run(name: Path | str) -> RunFolder:
    """Raises: Error if there is no run of this name."""
    return RunFolder.open(fetch_run(str(name)) if str(name).startswith(PREFIX) else name)
