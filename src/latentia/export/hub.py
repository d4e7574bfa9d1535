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

FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"()]+/)+")  # of full paths, down to their last name


def push(run: RunFolder, name: str, shown: Mapping[str, bytes], private: bool = False) -> str:
    """Upload a run to OWNER/NAME, which is made if it is not there; returns its address.

    shown: what people look at, README.md and pictures, by its path.

    Raises: Error if there is no token, the run cannot be shared, the hub refuses it, or something
    else than a run is there, which would be replaced.
    """
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        stage(run, folder)
        for path, content in shown.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        check_run_folder(folder, str(run.path))
        api, what = HfApi(), f"A run of {run.metadata['recipe']}"
        try:
            with silence_hub():
                address = api.create_repo(name, private=private or None, exist_ok=True)
                there = [each.rfilename for each in api.model_info(name).siblings or ()]
                if others := list_unknown_files(there):
                    raise Error(
                        f"{PREFIX}{name} holds {others[0]}, which no run has, and nothing was "
                        "written, since all there would be replaced; give a new name."
                    )
                api.upload_folder(
                    repo_id=name, folder_path=folder, commit_message=what, delete_patterns="*"
                )
        except Error:
            raise
        except Exception as why:  # the network's errors change with the version of its library
            raise Error(f"{PREFIX}{name} was not written: {format_hub_error(why)}") from why
    return str(address)


def allowed(name: str) -> str:
    """OWNER/NAME. Raises: Error if it is none, or nobody is logged in."""
    from huggingface_hub import get_token

    found = parse_repository(name)
    if get_token() is None:
        raise Error(
            "The hub wants to know who you are and there is no token: log in once with `hf auth "
            "login`, or set HF_TOKEN to one that may write."
        )
    return found


def stage(run: RunFolder, folder: Path) -> None:
    """Weights, settings and figures, of the run and of the one that it was built on."""
    for source, target in ((run.path, folder), (run.path / AUTOENCODER, folder / AUTOENCODER)):
        if (source / "run.json").exists():
            target.mkdir(exist_ok=True)
            write_json(target / "run.json", shared(json.loads((source / "run.json").read_text())))
            if (source / MODEL_FILES[1]).exists():
                shutil.copyfile(source / MODEL_FILES[1], target / MODEL_FILES[1])
    if (run.path / "evaluation.json").exists():
        shutil.copyfile(run.path / "evaluation.json", folder / "evaluation.json")


def shared(about: Any) -> Any:
    """Without the folders of this machine; the recipe's source stays as it is."""
    if isinstance(about, dict):
        bare = {k: v if k == "source" and "\n" in str(v) else shared(v) for k, v in about.items()}
        return bare | ({AUTOENCODER: AUTOENCODER} if AUTOENCODER in bare else {})
    if isinstance(about, list):
        return [shared(each) for each in about]
    if isinstance(about, str) and Path(about).is_absolute():  # whatever blanks are in it
        return Path(about).name
    return FOLDERS.sub("", about) if isinstance(about, str) else about
