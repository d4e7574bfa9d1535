"""A run's images written anew, without those that the doctor found ill."""

from pathlib import Path

import numpy as np
import torch

from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.diagnostics.data import BLANK, classes, inverted, look, spread_of, twins
from latentia.training.checkpoint import unfinished

SHORT = {"train": "train", "validation": "val", "test": "test"}


def clean(images: Images, path: str | Path) -> tuple[Path, dict[str, int]]:
    """An .npz that `--data` reads, in the same splits; and how many images each split lost.

    Blank and inverted images go from every split; from train, what stands there twice or is held
    out, and of a class with most of the images as many as it takes to make it a half.

    Raises: Error if the path does not end in .npz, exists or can't be written, or for a stream.
    """
    path = Path(path)
    if path.suffix != ".npz" or path.exists():
        why = "exists" if path.exists() else f"ends in {path.suffix or 'nothing'}"
        raise Error(f"--clean {path} {why}; give a new .npz file to write.")
    if images.source.stream:
        raise Error(
            "--clean writes all images into one file, and these are streamed, since they may fit in"
            " none; leave the images that the doctor names out of their shards."
        )
    train = images.split("train")
    seen = look(train, len(train))
    spread = spread_of(seen)
    arrays, lost = {}, {}
    for name, short in SHORT.items():
        split = images.split(name)
        mine = look(split, len(split))
        bad = torch.zeros(len(split), dtype=torch.bool)
        bad[mine.rows[(mine.contrast <= BLANK) | inverted(mine)]] = True
        if name == "train":
            bad[twins(seen, seen, spread, earlier=True)[:, 0]] = True
            for other in ("validation", "test"):
                held = look(images.split(other), len(images.split(other)))
                bad[twins(held, seen, spread)[:, 1]] = True
            crowd(split, bad)
        lost[name] = int(bad.sum())
        if len(kept := (~bad).nonzero().flatten()):
            rows = kept if split.rows is None else split.rows[kept]
            arrays[f"x_{short}"] = split.pixels[rows].numpy()
            if "label" in split.columns:
                arrays[f"y_{short}"] = split.columns["label"][kept].numpy()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as problem:
        raise Error(
            f"{path} cannot be written ({problem.strerror}); give another --clean."
        ) from None
    return path, lost


def crowd(split: Split, bad: torch.Tensor) -> None:
    """Marks the last images of a dominating class, until the others are as many."""
    for _, codes, names, most in classes(split):
        counts = torch.bincount(codes[~bad], minlength=len(names))
        if counts.max() > most * counts.sum():
            mine = ((codes == counts.argmax()) & ~bad).nonzero().flatten()
            bad[mine[int(counts.sum() - counts.max()) :]] = True
