"""Recipe files, and which of them a run may load: a run of someone else can name any file."""

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from latentia.core.errors import Error
from latentia.core.files import cache_root, replace_file
from latentia.core.plugins import load_file


class RecipeFile(NamedTuple):
    """A recipe of the form my.py:mine; the path is absolute and passes no link."""

    path: Path
    function_name: str

    def load(self, content: bytes | None = None) -> ModuleType:
        """Execute the file, which a person named; content: its bytes, if they were read before."""
        module = load_file(str(self.path), content)
        _trusted_files.add(self)
        return module

    def load_if_trusted(self) -> ModuleType:
        """Execute the file that a run names, if a person named it or has trained with it.

        Raises: Error if nobody did, or it lies in a run folder
        """
        if self in _trusted_files:  # it may have changed since, and is not executed again
            return self.load()
        content = self.path.read_bytes()
        if reason := self._find_doubt(content):
            raise Error(
                f"The recipe file {self.path} {reason}, so it is not executed; if you have read it "
                "and trust it, add --trust-recipe (in Python trust_recipe=True), or train with a "
                f"copy of it: latentia train my.py:{self.function_name}."
            )
        return self.load(content)

    def _find_doubt(self, content: bytes) -> str:
        """Return why the file is not this user's own; "" if it is."""
        runs = [folder for folder in self.path.parents if (folder / "run.json").exists()]
        if runs:
            return f"lies in the run folder {runs[0]}"
        if self.function_name not in _read_record().get(sha256(content).hexdigest(), ()):
            return "is none with which you have trained on this machine, or was changed since"
        return ""

    def record(self) -> None:
        """Remember that this user trains with the file, in a file that only they can write."""
        digest, names = sha256(self.path.read_bytes()).hexdigest(), _read_record()
        names[digest] = sorted({*names.get(digest, ()), self.function_name})
        part = _record_path().with_suffix(".part")
        with suppress(OSError):  # without a record, --trust-recipe opens the run
            part.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            part.touch(0o600)
            part.write_text(json.dumps(names, indent=1), "utf-8")
            replace_file(part, _record_path())


_trusted_files: set[RecipeFile] = set()  # of this process


def split_recipe_name(name: str) -> tuple[str, str]:
    """Return file and function of my.py:mine; a file of Windows may begin with a drive, C:."""
    file, _, function_name = name.rpartition(":")
    return (file, function_name) if ".py" in file else (name, "")


def parse_recipe_file(recipe: str) -> RecipeFile | None:
    """Split my.py:mine; None for the name of a registered recipe."""
    if ".py" not in recipe:
        return None
    file, function_name = split_recipe_name(recipe)
    path = Path(os.path.expanduser(file))  # these functions raise no exception, as Path's do
    if not (os.path.isfile(path) and os.access(path, os.R_OK)):
        raise Error(f"There is no file {path}; a recipe of your own is given as my.py:mine.")
    return RecipeFile(path.resolve(), function_name)


def _record_path() -> Path:
    user_id = os.getuid() if hasattr(os, "getuid") else 0
    return cache_root() / f"recipes-{user_id}.json"  # a cache may be shared


def _read_record() -> dict[str, list[str]]:
    """Read the names of trained recipes by the digest of their file; {} if others can write it."""
    try:
        status = _record_path().stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            return {}
        content = json.loads(_record_path().read_text("utf-8"))
        return {digest: list(map(str, names)) for digest, names in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
