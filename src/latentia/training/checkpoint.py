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
def unfinished(path: Path) -> Iterator[Path]:
    """Another name to write to, then synced and renamed: whoever opens the path sees the old
    content or the new, never a part. What an exception interrupts is removed.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, content: bytes) -> None:
    with unfinished(path) as part:
        part.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    write_whole(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """about: JSON in the header. Layouts are not kept: safetensors wants contiguous tensors."""
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(packed, {"about": json.dumps(about, allow_nan=False)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header's JSON.

    Raises: Error if the file is missing, truncated or no safetensors file.
    """
    run = path.parent
    if not path.exists():
        raise Error(
            f"is not complete: it lacks {path.name}. Train again, or copy it anew.", subject=run
        )
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except SafetensorError as problem:
        raise Error(
            f"is not complete: {path.name} {_where_it_ends(path, problem)}. "
            "Train again, or copy the file anew.",
            subject=run,
        ) from None


def read_about(path: Path) -> dict[str, Any]:
    """The header's JSON alone; Raises: Error as `read_tensors` does."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("about", "{}"))
    except SafetensorError:
        return read_tensors(path)[1]


def _where_it_ends(path: Path, problem: SafetensorError) -> str:
    """Eight bytes give the header's length, the header gives the end of the last tensor."""
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little")
    try:
        entries = json.loads(content[8 : 8 + header])
        end = max(e["data_offsets"][1] for k, e in entries.items() if k != "__metadata__")
        wanted = f"{8 + header + end:,}"
    except (ValueError, KeyError, TypeError, AttributeError):
        wanted = None
    if wanted and len(content) < int(wanted.replace(",", "")):
        return f"ends at byte {len(content):,} of {wanted}"
    return f"({len(content):,} bytes) is no whole safetensors file ({problem})"
