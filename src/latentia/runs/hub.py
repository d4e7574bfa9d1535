"""Runs that others share on the hub: read, never executed, and used only once whole and checked."""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, first_line
from latentia.data import cache
from latentia.runs.folder import AUTOENCODER, RunFolder
from latentia.runs.recipes import DIFFUSERS, list_recipes
from latentia.training.checkpoint import write_whole

PREFIX = "hub:"
REPOSITORY_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MODEL_FILES = ("run.json", "weights.safetensors")
FETCHED_FILES = (
    *MODEL_FILES,
    "evaluation.json",
    *(f"{AUTOENCODER}/{name}" for name in MODEL_FILES),
)
SKIPPED_FILES = re.compile(
    r"README\.md|\.gitattributes|pictures/[\w-]+\.png"
)  # there, but not fetched
METADATA_KEYS = {
    *("format", "recipe", "arguments", "modifiers", "options", "images", "notes", "parameters"),
    *("machine",),
    *("source", "latents", "binarised"),
}


def parse_repository(name: str) -> str:
    """OWNER/NAME of hub:OWNER/NAME. Raises: Error if it is none."""
    found = name.removeprefix(PREFIX)
    if not REPOSITORY_NAME.fullmatch(found) or ".." in found:
        raise Error(f"{found} is no name on the hub; write OWNER/NAME, such as me/faces.")
    return found


def fetch_run(name: str) -> Path:
    """A local copy of the newest version of hub:OWNER/NAME; without the hub, of the last fetched.

    Of hub:OWNER/NAME/autoencoder, the run in it.

    Raises: Error if there is none, or it holds what a run does not.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    whole = name.removesuffix(f"/{AUTOENCODER}") if name.count("/") == 2 else name
    if whole != name:
        return fetch_run(whole) / AUTOENCODER
    repo, api = parse_repository(name), HfApi()
    home = cache.root() / "hub" / cache.key(repo)
    last = home / "last"  # the key of the version that was fetched last
    try:
        info = api.model_info(repo)
    except Exception as why:  # the network's errors change with the version of the hub's library
        known = home / last.read_text() / repo.split("/")[1] if last.exists() else None
        if known and known.exists() and not isinstance(why, HfHubHTTPError):
            return known
        raise Error(f"{PREFIX}{repo} cannot be fetched: {format_hub_error(why)}") from None
    files = [each.rfilename for each in info.siblings or ()]
    refuse_unknown_files(f"{PREFIX}{repo}", files)
    version = cache.key(repo, info.sha)
    path = home / version / repo.split("/")[1]
    if not path.exists():
        try:
            home.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=".part-", dir=home))
        except OSError as why:
            raise Error(
                f"{cache.root()} cannot be written ({why.strerror}); set LATENTIA_CACHE to a folder"
                " of your own."
            ) from None
        try:
            with silence_hub():
                wanted = {"revision": info.sha, "allow_patterns": [*FETCHED_FILES]}
                api.snapshot_download(repo, local_dir=part, **wanted)
            shutil.rmtree(part / ".cache", ignore_errors=True)  # the hub's own notes
            check_run_folder(part, f"{PREFIX}{repo}")
            path.parent.mkdir(exist_ok=True)
            part.replace(path)
        except Error:
            raise
        except Exception as why:
            if not path.exists():  # or another process was faster
                raise Error(f"{PREFIX}{repo} cannot be fetched: {format_hub_error(why)}") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    write_whole(last, version.encode())
    return path


@contextmanager
def silence_hub() -> Iterator[None]:
    """No warnings of the hub's library, since what fails is said; no bars where nobody watches."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    level, bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    if bars and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars and not sys.stderr.isatty():
            enable_progress_bars()


def format_hub_error(why: Exception) -> str:
    """The first line of what went wrong, and what to do."""
    first = first_line(why)
    return f"{first}; check the name and the connection, or for a private run log in: hf auth login"


def list_unknown_files(files: list[str]) -> list[str]:
    """Those that no run on the hub has."""
    return [
        file for file in files if file not in FETCHED_FILES and not SKIPPED_FILES.fullmatch(file)
    ]


def refuse_unknown_files(label: str, files: list[str]) -> None:
    """Before anything is fetched. Raises: Error if a file is none that a run has."""
    for file in list_unknown_files(files):
        raise Error(
            f"{label} holds {file}, which no run has, and was not fetched; ask its author for "
            "what `latentia push` makes."
        )
    if missing := [file for file in MODEL_FILES if file not in files]:
        raise Error(
            f"{label} lacks {missing[0]}, so it is no run; ask its author for what `latentia push` "
            "makes."
        )


def check_run_folder(folder: Path, label: str) -> None:
    """Raises: Error unless this folder, and all in it, is a run that can be read as it stands."""
    refuse_unknown_files(
        label, [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    )
    inner = folder / AUTOENCODER
    for each in (folder, inner) if inner.exists() else (folder,):
        about = read_metadata(each / "run.json", label)
        if strange := about.keys() - METADATA_KEYS:
            raise Error(
                f"The run.json of {label} has the unknown keys {', '.join(sorted(strange))}; it was"
                " made by another version of latentia, or by hand: ask its author."
            )
        check_recipe_is_ours(about, label)
    try:
        RunFolder.open(folder).model()  # every tensor has its place, and no other is there
    except Error as problem:
        if problem.subject is None:
            raise
        part = "" if problem.subject == folder else f"/{AUTOENCODER}"
        raise Error(problem.text, subject=label + part) from None


def check_recipe_is_ours(about: dict[str, Any], label: str) -> None:
    """Raises: Error if the recipe is somebody's own."""
    if about.get("recipe") not in [*list_recipes(), DIFFUSERS]:
        raise Error(
            f"{label} was made by the recipe {about.get('recipe')}, which is not part of "
            "latentia, and code of others is not run; only runs of its own recipes are shared."
        )


def read_metadata(path: Path, label: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        raise Error(f"{label} has no readable run.json; ask its author for another copy.") from None
