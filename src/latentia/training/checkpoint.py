"""Tensors on disk: safetensors and JSON only, written whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentia.core.errors import Error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Another name to write to, then synced and renamed: whoever opens the path sees the old
    content or the new, never a part. What an exception interrupts is removed.
    """
    temporary_path = path.with_name(f".{path.name}.part")
    try:
        yield temporary_path
        with temporary_path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary_path, path)
    finally:
        temporary_path.unlink(missing_ok=True)
    directory_fd = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)


def atomic_write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary_path:
        temporary_path.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    atomic_write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """about: JSON in the header. Layouts are not kept: safetensors wants contiguous tensors."""
    cpu_tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write(path, save(cpu_tensors, {"about": json.dumps(metadata, allow_nan=False)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header's JSON.

    Raises: Error if the file is missing, truncated or no safetensors file.
    """
    folder = path.parent
    if not path.exists():
        raise Error(
            f"is not complete: it lacks {path.name}. Train again, or copy it anew.", subject=folder
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except SafetensorError as error:
        raise Error(
            f"is not complete: {path.name} {_describe_damage(path, error)}. "
            "Train again, or copy the file anew.",
            subject=folder,
        ) from None


def read_metadata(path: Path) -> dict[str, Any]:
    """The header's JSON alone; Raises: Error as `read_tensors` does."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("about", "{}"))
    except SafetensorError:
        return read_tensors(path)[1]


def _describe_damage(path: Path, error: SafetensorError) -> str:
    """Eight bytes give the header's length, the header gives the end of the last tensor."""
    content = path.read_bytes()
    header_length = int.from_bytes(content[:8], "little")
    try:
        entries = json.loads(content[8 : 8 + header_length])
        end = max(entry["data_offsets"][1] for k, entry in entries.items() if k != "__metadata__")
        expected_length = f"{8 + header_length + end:,}"
    except (ValueError, KeyError, TypeError, AttributeError):
        expected_length = None
    if expected_length and len(content) < int(expected_length.replace(",", "")):
        return f"ends at byte {len(content):,} of {expected_length}"
    return f"({len(content):,} bytes) is no whole safetensors file ({error})"
