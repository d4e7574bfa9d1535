"""Runs that a benchmark keeps: a second call takes up what is there."""

from pathlib import Path

import latentia


def trained(path: Path, recipe: str, options: latentia.Options, **how) -> latentia.Run:
    if not (path / "report.html").exists():
        if path.exists():
            latentia.resume(path)
        else:
            latentia.train(recipe, run=path, options=options, **how)
    return latentia.Run.open(path)
