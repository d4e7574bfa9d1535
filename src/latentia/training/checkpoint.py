"""Atomic files: safetensors and JSON with checksums, written whole or not at all."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentia.core.checksums import BLANK, is_intact, seal_content
from latentia.core.errors import DamageError, Error, catch_write_errors
from latentia.core.files import claim_file, replace_file, sync_file, sync_folder
from latentia.core.json_types import check_json, parse_json
from latentia.core.text import join_command


class OptimizerGroup(TypedDict):
    """Settings of an optimizer; the others are its constants."""

    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float


class FileMetadata(TypedDict):
    """Metadata in the header of a safetensors file of a run; weights have at most the step."""

    step: NotRequired[int]
    best: NotRequired[float | None]
    lr_scale: NotRequired[float]
    failures: NotRequired[int]
    complete: NotRequired[bool]
    log_bytes: NotRequired[int]
    log_sha256: NotRequired[str]
    weights_of: NotRequired[dict[str, dict[str, float]]]
    roles: NotRequired[dict[str, dict[str, str]]]
    groups: NotRequired[dict[str, list[OptimizerGroup]]]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to, then sync the file and rename it to `path`.

    A reader sees the old content or the new, never a part. An exception removes the file. A link
    at `path` is replaced, not followed. Two processes do not write one file at once.
    """
    temporary_path = path.with_name(f".{path.name}.part")
    with claim_file(temporary_path):
        try:
            yield temporary_path
            sync_file(temporary_path)
            replace_file(temporary_path, path)
        finally:
            temporary_path.unlink(missing_ok=True)
    sync_folder(path.parent)


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file. Raises: Error if it cannot be written."""
    with catch_write_errors(path), atomic_path(path) as temporary_path:
        temporary_path.write_bytes(content)


def copy_file(source: Path, path: Path) -> None:
    with catch_write_errors(path), atomic_path(path) as temporary_path:
        shutil.copyfile(source, temporary_path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with the checksum of the file."""
    update_json(path, lambda: content)


# by name of a file that no command of measurement makes anew
ADVICE = {
    "run.json": "copy it anew",
    "fit.json": "copy it anew, or give latentia fit another --run",
}


def update_json(path: Path, change: Callable[[], dict[str, Any]]) -> None:
    """Write the JSON object that `change` makes of the file, while no other process writes it."""
    with catch_write_errors(path), atomic_path(path) as temporary_path:
        content = {"checksum": BLANK, **change()}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        temporary_path.write_bytes(seal_content(text.encode()))


def read_json(path: Path, hint: Any = Any) -> dict[str, Any]:
    """Read a JSON object, without the checksum of the file; {} if there is no file.

    hint: type of the object, as `check_json` takes it

    Raises: DamageError if the file is no such object, or another one than was written.
    """
    if not path.exists():
        return {}
    try:
        content = dict(parse_json(path.read_text("utf-8")))
        problem = "holds other bytes than were written: it is damaged, or was edited"
    except (ValueError, TypeError):
        content, problem = {}, "is damaged: it holds no JSON object"
    has_checksum = "checksum" in content or is_intact(path) is not None
    if not content or (has_checksum and not is_intact(path)):
        advice = ADVICE.get(path.name, "remove it, and measure again")
        if content:
            call = f"latentia.make_checksums({str(path.parent)!r})"
            advice = f"if you edited it, {call} in Python accepts that; else {advice}"
        raise DamageError(f"{problem}. {advice[0].upper()}{advice[1:]}.", subject=path)
    content.pop("checksum", None)
    try:
        check_json(content, hint)
    except Error as problem:
        raise DamageError(f"is damaged: {problem} Copy it anew.", subject=path) from None
    return content


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors, and in the header the checksum of the file and the metadata as JSON.

    Memory layouts are lost: safetensors stores contiguous tensors.
    """
    cpu_tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps({"checksum": BLANK, **metadata}, allow_nan=False)
    atomic_write(path, seal_content(save(cpu_tensors, {"about": header})))


def read_tensors(path: Path, *, check: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors and the header's metadata; check: compare the file with its checksum.

    Raises: Error if the file is missing, truncated or not a safetensors file; DamageError if it
    holds other bytes than were written.
    """
    with _open_tensors(path, check) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def read_metadata(path: Path, *, check: bool = True) -> dict[str, Any]:
    """Read the header's metadata only. Raises: Error as `read_tensors` does."""
    with _open_tensors(path, check) as (_, metadata):
        return metadata


@contextmanager
def _open_tensors(path: Path, check: bool = True) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                if check and is_intact(path) is False:
                    raise DamageError(_describe_change(path), subject=path.parent)
                try:
                    metadata = parse_json((file.metadata() or {}).get("about", "{}"))
                    check_json(metadata, FileMetadata)
                except Error as error:
                    raise SafetensorError(f"in its metadata, {error}") from None
                metadata.pop("checksum", None)
                yield file, metadata
            return
    except SafetensorError as error:
        damage = f"{path.name} is not a whole safetensors file ({error})"
        problem = f"is not complete: {damage}. Train again, or copy the file anew."
        raise DamageError(problem, subject=path.parent) from None
    advice = "Train again, or copy it anew"
    if path.name == "weights.safetensors" and path.with_name(".lock").exists():
        advice = f"`latentia resume {join_command([path.parent])}` goes on with it"
    problem = f"is not complete: it lacks {path.name}. {advice}."
    raise Error(problem, subject=path.parent)


def _describe_change(path: Path) -> str:
    folder, advice = join_command([path.parent]), "train again"
    if path.name == "weights.safetensors" and path.with_name("state.safetensors").exists():
        advice = f"`latentia resume {folder}` writes it from the saved state"
    elif path.name == "state.safetensors":
        advice += f", which can begin with the run's weights: --init {folder}"
    change = f"is damaged: {path.name} holds other bytes than were written"
    return f"{change}. Copy the file anew, or {advice}."
