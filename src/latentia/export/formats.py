"""Formats of other programs into which a run's model is written."""

import importlib
from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.core.folders import fill_folder
from latentia.core.text import suggest_name
from latentia.data.cache import cache_root
from latentia.runs.folder import RunFolder

# required packages by format, which is also the name of the module in latentia.export
FORMATS = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "diffusers": ()}


def export_model(run: RunFolder, to: str, out: Path | str | None = None, data: Any = None) -> Path:
    """Write a run's model in a format, and return the folder.

    out: by default the run's folder with the suffix -FORMAT; a run of the hub, which lies in a
    cache, is written to the working folder. data: where the run's images are now.

    Raises: Error if there is no such format, a package is missing, or the folder cannot be written.
    """
    if to not in FORMATS:
        suggestion = suggest_name(to, FORMATS, " did you mean {}?")
        raise Error(f"There is no format {to};{suggestion} --to is one of {', '.join(FORMATS)}.")
    try:
        for package in FORMATS[to]:
            importlib.import_module(package)
    except ModuleNotFoundError as missing:
        package = f'{missing.name}, of the extra export: pip install "latentia[export]"'
        raise Error(f"--to {to} needs {package}.") from None
    suffix = "" if run.beta is None else f"-beta{run.beta:g}"
    stem = run.path.name if run.path.is_relative_to(cache_root()) else run.path
    path = Path(out or f"{stem}{suffix}-{to}").expanduser()
    suffixes = {each.suffix for each in path.glob("[!.]*")} if path.is_dir() else set()
    if suffixes and not suffixes & {".onnx", ".safetensors"}:  # those of an earlier export
        raise Error(f"--out {path} has files, which are never overwritten; give a new folder.")
    options = {"data": data} if to == "diffusers" else {}
    with fill_folder(path, "give another folder with --out") as part:
        importlib.import_module(f"latentia.export.{to}").export_run(run, part, **options)
    return path
