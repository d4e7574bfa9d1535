"""Atomic files: safetensors and JSON, written whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.files import replace_file, sync_file, sync_folder


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to, then sync the file and rename it to `path`.

    A reader sees the old content or the new, never a part. An exception removes the file.
    """
    temporary_path = path.with_name(f".{path.name}.part")
    try:
        yield temporary_path
        sync_file(temporary_path)
        replace_file(temporary_path, path)
    finally:
        temporary_path.unlink(missing_ok=True)
    sync_folder(path.parent)


def atomic_write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary_path:
        temporary_path.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    atomic_write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors, and the metadata as JSON in the header.

    Memory layouts are lost: safetensors stores contiguous tensors.
    """
    cpu_tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write(path, save(cpu_tensors, {"about": json.dumps(metadata, allow_nan=False)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors and the header's metadata.

    Raises: Error if the file is missing, truncated or not a safetensors file.
    """
    with _open_tensors(path) as (file, metadata):
        # copies: Windows replaces no file that is mapped
        return {name: file.get_tensor(name).clone() for name in file.keys()}, metadata  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the header's metadata only. Raises: Error as `read_tensors` does."""
    with _open_tensors(path) as (_, metadata):
        return metadata


@contextmanager
def _open_tensors(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    problem = f"it lacks {path.name}. Train again, or copy it anew."
    try:
        if path.exists():
            with safe_open(path, framework="pt") as file:
                yield file, json.loads((file.metadata() or {}).get("about", "{}"))
            return
    except SafetensorError as error:
        damage = _describe_damage(path, error)
        problem = f"{path.name} {damage}. Train again, or copy the file anew."
    raise Error(f"is not complete: {problem}", subject=path.parent)


def _describe_damage(path: Path, error: SafetensorError) -> str:
    # eight bytes give the header's length, the header gives the end of the last tensor
    content = path.read_bytes()
    header_length = int.from_bytes(content[:8], "little")
    try:
        entries = json.loads(content[8 : 8 + header_length])
        end = max(entry["data_offsets"][1] for k, entry in entries.items() if k != "__metadata__")
        length = 8 + header_length + end
    except (ValueError, KeyError, TypeError, AttributeError):
        length = 0
    if len(content) < length:
        return f"ends at byte {len(content):,} of {length:,}"
    return f"({len(content):,} bytes) is not a whole safetensors file ({error})"
