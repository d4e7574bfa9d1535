"""Copies of a run's images without duplicate, constant, inverted and too frequent ones."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.diagnostics.data import iterate_classes
from latentia.diagnostics.thumbnails import (
    BLANK_CONTRAST,
    find_inverted,
    find_near_duplicates,
    make_thumbnails,
    measure_spread,
)
from latentia.training.checkpoint import atomic_path

ARRAY_SUFFIXES = {"train": "train", "validation": "val", "test": "test"}


def clean_images(images: Images, path: str | Path) -> tuple[Path, dict[str, int]]:
    """Write an .npz file for `--data` with the same splits, and count the images left out.

    Constant and inverted images leave every split. The training split also loses duplicates,
    images that are held out as well, and images of a dominant class until it is one half.

    Raises: Error if the path does not end in .npz, exists or can't be written, or images stream.
    """
    path = Path(path)
    if path.suffix != ".npz" or path.exists():
        reason = "exists" if path.exists() else f"ends in {path.suffix or 'nothing'}"
        raise Error(f"--clean {path} {reason}; give a new .npz file to write.")
    if images.source.stream:
        raise Error(
            "--clean writes all images into one file, but streamed images may not fit into one; "
            "remove the images that the doctor names from their shards."
        )
    arrays, removed = {}, {}
    for name, suffix in ARRAY_SUFFIXES.items():
        split = images.split(name)
        is_unwanted = find_unwanted(images, name)
        removed[name] = int(is_unwanted.sum())
        if len(rows := (~is_unwanted).nonzero().flatten()):
            arrays[f"x_{suffix}"] = split.pixels[
                rows if split.rows is None else split.rows[rows]
            ].numpy()
            if "label" in split.columns:
                arrays[f"y_{suffix}"] = split.columns["label"][rows].numpy()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary_path, temporary_path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as problem:
        raise Error(
            f"{path} cannot be written ({problem.strerror}); give another --clean."
        ) from None
    return path, removed


def find_unwanted(images: Images, name: str) -> Bool[Tensor, " n"]:
    split = images.split(name)
    is_unwanted = torch.zeros(len(split), dtype=torch.bool)
    thumbnails = make_thumbnails(split)
    is_odd = (thumbnails.contrast <= BLANK_CONTRAST) | find_inverted(thumbnails)
    is_unwanted[thumbnails.rows[is_odd]] = True
    if name == "train":
        spread = measure_spread(thumbnails)
        pairs = find_near_duplicates(thumbnails, thumbnails, spread, earlier=True)
        is_unwanted[pairs[:, 0]] = True
        for held_out in ("validation", "test"):
            queries = make_thumbnails(images.split(held_out))
            is_unwanted[find_near_duplicates(queries, thumbnails, spread)[:, 1]] = True
        rebalance(split, is_unwanted)
    return is_unwanted


def rebalance(split: Split, is_unwanted: Bool[Tensor, " n"]) -> None:
    """Mark the last images of a dominant class, until it has as many as all others together."""
    for _, codes, names, max_share in iterate_classes(split):
        counts = torch.bincount(codes[~is_unwanted], minlength=len(names))
        if counts.max() > max_share * counts.sum():
            rows = ((codes == counts.argmax()) & ~is_unwanted).nonzero().flatten()
            is_unwanted[rows[int(counts.sum() - counts.max()) :]] = True
