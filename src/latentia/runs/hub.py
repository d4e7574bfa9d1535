"""Fetch runs from the Hugging Face hub: read, never executed, used only if complete and checked."""

import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, catch_write_errors, summarize_exception
from latentia.core.files import make_file_name
from latentia.core.progress import enable_progress
from latentia.data import cache
from latentia.data.sources.table import silence_hub
from latentia.runs.folder import AUTOENCODER, RunFolder
from latentia.runs.metadata import RunMetadata
from latentia.runs.recipes import DIFFUSERS, list_recipes
from latentia.training.checkpoint import atomic_write, read_json

PREFIX = "hub:"
REPOSITORY_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MODEL_FILES = ("run.json", "weights.safetensors")
PARENT_FILES = [f"{AUTOENCODER}/{name}" for name in MODEL_FILES]
FETCHED_FILES = (*MODEL_FILES, "evaluation.json", *PARENT_FILES)
# allowed on the hub, but not fetched
SKIPPED_FILES = re.compile(r"README\.md|\.gitattributes|pictures/[\w-]+\.png")
METADATA_KEYS = {*RunMetadata.__annotations__, "source", "latents", "binarised", "closed_form"}


def parse_repository(name: str) -> str:
    """Return OWNER/NAME of hub:OWNER/NAME. Raises: Error if it is no such name."""
    repo = str(name).removeprefix(PREFIX)
    if not REPOSITORY_NAME.fullmatch(repo) or ".." in repo:
        text = "is no name on the hub; write OWNER/NAME, such as me/faces."
        raise Error(text, subject=repo or repr(name))
    return repo


def fetch_run(name: str) -> Path:
    """Fetch the newest version of hub:OWNER/NAME, or of its folder autoencoder; returns the folder.

    Without a connection, the last version that was fetched is used.

    Raises: Error if there is no such run, or it holds other files than a run.
    """
    from huggingface_hub import HfApi, utils
    from huggingface_hub.errors import HfHubHTTPError

    parent_name = name.removesuffix(f"/{AUTOENCODER}") if name.count("/") == 2 else name
    if parent_name != name:
        return fetch_run(parent_name) / AUTOENCODER
    repo, api = parse_repository(name), HfApi()
    label, run_name = f"{PREFIX}{repo}", make_file_name(repo.split("/")[1])
    folder = cache.cache_root() / "hub" / cache.make_key(repo)
    last_version, info = folder / "last", None  # the file holds the commit that was fetched last
    try:
        info = api.model_info(repo)
        refuse_unknown_files(label, [sibling.rfilename for sibling in info.siblings or ()])
        path = folder / str(info.sha) / run_name
        if not path.exists():
            advice = "set LATENTIA_CACHE to a folder of your own"
            with catch_write_errors(cache.cache_root(), advice):
                folder.mkdir(parents=True, exist_ok=True)
                temporary = tempfile.TemporaryDirectory(
                    prefix=".part-", dir=folder, ignore_cleanup_errors=True
                )
            with temporary as name, silence_hub(utils):
                part = Path(name)
                version = {"revision": info.sha, "allow_patterns": [*FETCHED_FILES]}
                api.snapshot_download(repo, local_dir=part / run_name, **version)
                shutil.rmtree(part / run_name / ".cache", ignore_errors=True)  # the library's own
                check_run_folder(part / run_name, label)
                if not path.exists():  # or another process was faster
                    part.rename(path.parent)
        atomic_write(last_version, path.parent.name.encode())
        return path
    except Error:
        raise
    except Exception as error:  # the network's errors change with the version of the hub's library
        if info is None and last_version.exists() and not isinstance(error, HfHubHTTPError):
            path = folder / last_version.read_text("utf-8") / run_name
            if path.exists():  # a person may have emptied a part of the cache
                return path
        raise Error(f"{label} cannot be fetched: {explain_hub_error(error)}") from error


def explain_hub_error(error: Exception) -> str:
    """Return why the library of the hub failed, and what to do."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, which allows no connection; unset it."
    if re.search("Connect|Timeout", type(error).__name__):  # of httpx, or of the system
        return "the hub does not answer; check the connection, or try again later."
    return f"{summarize_exception(error)}; check the name; for a private run log in: hf auth login"


def list_unknown_files(files: list[str]) -> list[str]:
    """List the files that do not belong to a run on the hub."""
    return [f for f in files if f not in FETCHED_FILES and not SKIPPED_FILES.fullmatch(f)]


def refuse_unknown_files(label: str, files: list[str]) -> None:
    """Raises: Error if there are other files than those of a run, or one is missing."""
    for file in list_unknown_files(files):
        raise Error(f"{label} holds {file}, which no run has; it was not fetched: ask its author.")
    if missing_files := [file for file in MODEL_FILES if file not in files]:
        raise Error(f"{label} lacks {missing_files[0]}; ask its author to push it anew.")


def check_run_folder(folder: Path, label: str) -> None:
    """Raises: Error if this folder is not a complete run that this version can load."""
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    refuse_unknown_files(label, files)
    parent_folder = folder / AUTOENCODER
    for run_folder in (folder, parent_folder) if parent_folder.exists() else (folder,):
        metadata: dict[str, Any] = {}
        with suppress(Error):  # it is damaged
            metadata = read_json(run_folder / "run.json")
        if not metadata:
            raise Error(f"{label} has no readable run.json; ask its author for another copy.")
        if unknown := sorted(metadata.keys() - METADATA_KEYS):
            keys = ", ".join(unknown)
            raise Error(f"The run.json of {label} has the unknown keys {keys}; ask its author.")
        check_recipe_is_ours(metadata, label)
    try:
        with enable_progress(False):  # no note about the temporary folder
            RunFolder.open(folder).model()  # compares the names and shapes of all tensors
    except Error as error:
        if error.subject is None:
            raise
        part = "" if error.subject == folder else f"/{AUTOENCODER}"
        raise Error(error.message, subject=label + part) from None


def check_recipe_is_ours(metadata: dict[str, Any], label: str) -> None:
    """Check that the recipe is built in, so that no code of others runs.

    Raises: Error if it is not.
    """
    if metadata.get("recipe") not in [*list_recipes(), DIFFUSERS]:
        recipe = metadata.get("recipe")
        raise Error(f"{label} has the recipe {recipe} of somebody else, whose code is not run.")
