"""Upload of a run to the hub: weights, settings and metrics, without folders of this machine."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, convert_errors
from latentia.core.files import find_absolute_path
from latentia.data.sources.table import silence_hub
from latentia.runs import hub
from latentia.runs.folder import AUTOENCODER, RunFolder
from latentia.training.checkpoint import read_json, write_json

# absolute path of any system, up to its last name
FOLDER_PATTERN = re.compile(r"(?<![\w.:/\\])(?:/|[A-Za-z]:[/\\]|\\\\)(?:[^\s/\\'\"()]+[/\\])+")
# colon before such a path, as in pairs:/home/me/a:/home/me/b; not that of https://
SEPARATOR = re.compile(r":(?=/(?!/)|[A-Za-z]:[/\\]|\\\\)")


def push_run(run: RunFolder, name: str, pages: Mapping[str, bytes], private: bool = False) -> str:
    """Upload a run to OWNER/NAME, which is created if it does not exist; return its address.

    pages: README.md and pictures, by path in the repository.

    Raises: Error if there is no token, the run cannot be shared, the hub refuses it, or the
    repository holds files of another kind, which the upload would delete.
    """
    from huggingface_hub import HfApi, utils

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage_run(run, folder)
        for path, content in pages.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        hub.check_run_folder(folder, str(run.path))
        api, message = HfApi(), f"A run of {run.metadata['recipe']}"
        problem, explain = f"{hub.PREFIX}{name} was not written", hub.explain_hub_error
        conversion = convert_errors(lambda reason: f"{problem}: {reason}", explain=explain)
        with conversion, silence_hub(utils):
            address = api.create_repo(name, private=private or None, exist_ok=True)
            files = [sibling.rfilename for sibling in api.model_info(name).siblings or ()]
            if unknown := hub.list_unknown_files(files):
                raise Error(
                    f"{hub.PREFIX}{name} holds {unknown[0]}, which no run has, and nothing was "
                    "written, since all there would be replaced; give a new name."
                )
            api.upload_folder(
                repo_id=name, folder_path=folder, commit_message=message, delete_patterns="*"
            )
    return str(address)


def check_repository(name: str) -> str:
    """Return OWNER/NAME. Raises: Error if it has another form, or there is no token."""
    from huggingface_hub import get_token

    repository = hub.parse_repository(name)
    if get_token() is None:
        raise Error(
            "The hub needs a token: run `hf auth login`, or set HF_TOKEN to one that writes."
        )
    return repository


def stage_run(run: RunFolder, folder: Path) -> None:
    """Copy weights, settings and metrics of a run and of its autoencoder to a folder."""
    for name in hub.FETCHED_FILES:
        source, target = run.path / name, folder / name
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            if source.name == "run.json":
                write_json(target, strip_folders(read_json(source)))
            else:
                shutil.copyfile(source, target)


def strip_folders(metadata: Any) -> Any:
    """Return metadata without folders of this machine; the recipe's source stays as it is."""
    if isinstance(metadata, dict):
        entries = {
            k: v if k == "source" and "\n" in str(v) else strip_folders(v)
            for k, v in metadata.items()
        }
        return entries | ({AUTOENCODER: AUTOENCODER} if AUTOENCODER in entries else {})
    if isinstance(metadata, list):
        return [strip_folders(each) for each in metadata]
    if not isinstance(metadata, str):
        return metadata
    if path := find_absolute_path(metadata):  # it may contain blanks, which no pattern matches
        return path.name
    if len(parts := SEPARATOR.split(metadata)) > 1:
        return ":".join(map(strip_folders, parts))
    return FOLDER_PATTERN.sub("", metadata)
