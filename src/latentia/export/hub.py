"""A run on the hub: what others need to draw and encode with it, and no path of this machine."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.runs.folder import AUTOENCODER, RunFolder
from latentia.runs.hub import (
    MODEL_FILES,
    PREFIX,
    check_run_folder,
    format_hub_error,
    list_unknown_files,
    parse_repository,
    silence_hub,
)
from latentia.training.checkpoint import write_json

FOLDER_PATTERN = re.compile(
    r"(?<![\w.:/])/(?:[^\s/'\"()]+/)+"
)  # of full paths, down to their last name


def push_run(run: RunFolder, name: str, pages: Mapping[str, bytes], private: bool = False) -> str:
    """Upload a run to OWNER/NAME, which is made if it is not there; returns its address.

    shown: what people look at, README.md and pictures, by its path.

    Raises: Error if there is no token, the run cannot be shared, the hub refuses it, or something
    else than a run is there, which would be replaced.
    """
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as temporary_folder:
        folder = Path(temporary_folder)
        stage_run(run, folder)
        for path, content in pages.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        check_run_folder(folder, str(run.path))
        api, message = HfApi(), f"A run of {run.metadata['recipe']}"
        try:
            with silence_hub():
                address = api.create_repo(name, private=private or None, exist_ok=True)
                hub_files = [sibling.rfilename for sibling in api.model_info(name).siblings or ()]
                if unknown_files := list_unknown_files(hub_files):
                    raise Error(
                        f"{PREFIX}{name} holds {unknown_files[0]}, which no run has, and nothing was "
                        "written, since all there would be replaced; give a new name."
                    )
                api.upload_folder(
                    repo_id=name, folder_path=folder, commit_message=message, delete_patterns="*"
                )
        except Error:
            raise
        except Exception as problem:  # the network's errors change with the version of its library
            raise Error(f"{PREFIX}{name} was not written: {format_hub_error(problem)}") from problem
    return str(address)


def check_repository(name: str) -> str:
    """OWNER/NAME. Raises: Error if it is none, or nobody is logged in."""
    from huggingface_hub import get_token

    repository_name = parse_repository(name)
    if get_token() is None:
        raise Error(
            "The hub wants to know who you are and there is no token: log in once with `hf auth "
            "login`, or set HF_TOKEN to one that may write."
        )
    return repository_name


def stage_run(run: RunFolder, folder: Path) -> None:
    """Weights, settings and figures, of the run and of the one that it was built on."""
    for source, target in ((run.path, folder), (run.path / AUTOENCODER, folder / AUTOENCODER)):
        if (source / "run.json").exists():
            target.mkdir(exist_ok=True)
            write_json(
                target / "run.json", strip_folders(json.loads((source / "run.json").read_text()))
            )
            if (source / MODEL_FILES[1]).exists():
                shutil.copyfile(source / MODEL_FILES[1], target / MODEL_FILES[1])
    if (run.path / "evaluation.json").exists():
        shutil.copyfile(run.path / "evaluation.json", folder / "evaluation.json")


def strip_folders(metadata: Any) -> Any:
    """Without the folders of this machine; the recipe's source stays as it is."""
    if isinstance(metadata, dict):
        stripped_entries = {
            k: v if k == "source" and "\n" in str(v) else strip_folders(v)
            for k, v in metadata.items()
        }
        return stripped_entries | (
            {AUTOENCODER: AUTOENCODER} if AUTOENCODER in stripped_entries else {}
        )
    if isinstance(metadata, list):
        return [strip_folders(each) for each in metadata]
    if isinstance(metadata, str) and Path(metadata).is_absolute():  # whatever blanks are in it
        return Path(metadata).name
    return FOLDER_PATTERN.sub("", metadata) if isinstance(metadata, str) else metadata
