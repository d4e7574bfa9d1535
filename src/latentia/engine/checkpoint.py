"""Tensors on disk: safetensors and JSON only, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latentia.core.errors import Error


def write_whole(path: Path, content: bytes) -> None:
    """Write, sync and rename: whoever opens the path sees the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
        raise Error(f"{run} is not complete: it lacks {path.name}. Train again, or copy it anew.")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except SafetensorError as problem:
        raise Error(
            f"{run} is not complete: {path.name}, {path.stat().st_size:,} bytes, cannot be read "
            f"({_reason(problem)}). Train again, or copy the file anew."
        ) from None


def _reason(problem: SafetensorError) -> str:
    text = str(problem).split(":", 1)[-1].strip()
    known = {
        "incomplete metadata": "it is truncated",
        "header too small": "it is empty",
        "MetadataIncompleteBuffer": "it is truncated",
        "HeaderTooSmall": "it is empty or truncated",
        "InvalidHeader": "its header is no safetensors header",
    }
    return next((said for key, said in known.items() if key.lower() in text.lower()), text)
