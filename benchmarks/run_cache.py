"""Runs that a benchmark keeps: a second call uses the runs that exist and continues the others."""

from pathlib import Path
from typing import Any

import numpy as np

import latentia
from latentia.runs.folder import RunFolder


def load_or_train(
    path: Path, recipe: str, options: latentia.Options, **parameters: Any
) -> RunFolder:
    if not (path / "report.html").exists():  # the last file of a training
        if path.exists():
            in_memory = {k: v for k, v in parameters.items() if isinstance(v, np.ndarray | dict)}
            latentia.resume(path, **in_memory)
        else:
            latentia.train(recipe, run=path, options=options, **parameters)
    return RunFolder.open(path)
