"""A run's images written anew, without those that the doctor found ill."""

from pathlib import Path

import numpy as np
import torch

from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.diagnostics.data import (
    BLANK_CONTRAST,
    find_inverted,
    iterate_classes,
    make_thumbnails,
    measure_spread,
    near_duplicates,
)
from latentia.training.checkpoint import atomic_path

ARRAY_SUFFIXES = {"train": "train", "validation": "val", "test": "test"}


def clean_images(images: Images, path: str | Path) -> tuple[Path, dict[str, int]]:
    """An .npz that `--data` reads, in the same splits; and how many images each split lost.

    Blank and inverted images go from every split; from train, what stands there twice or is held
    out, and of a class with most of the images as many as it takes to make it a half.

    Raises: Error if the path does not end in .npz, exists or can't be written, or for a stream.
    """
    path = Path(path)
    if path.suffix != ".npz" or path.exists():
        reason = "exists" if path.exists() else f"ends in {path.suffix or 'nothing'}"
        raise Error(f"--clean {path} {reason}; give a new .npz file to write.")
    if images.source.stream:
        raise Error(
            "--clean writes all images into one file, and these are streamed, since they may fit in"
            " none; leave the images that the doctor names out of their shards."
        )
    train_split = images.split("train")
    train_thumbnails = make_thumbnails(train_split, len(train_split))
    spread = measure_spread(train_thumbnails)
    arrays, removed_counts = {}, {}
    for name, array_suffix in ARRAY_SUFFIXES.items():
        split = images.split(name)
        thumbnails = make_thumbnails(split, len(split))
        is_unwanted = torch.zeros(len(split), dtype=torch.bool)
        is_unwanted[
            thumbnails.rows[(thumbnails.contrast <= BLANK_CONTRAST) | find_inverted(thumbnails)]
        ] = True
        if name == "train":
            is_unwanted[
                near_duplicates(train_thumbnails, train_thumbnails, spread, earlier=True)[:, 0]
            ] = True
            for held_out_name in ("validation", "test"):
                held_out_thumbnails = make_thumbnails(
                    images.split(held_out_name), len(images.split(held_out_name))
                )
                is_unwanted[
                    near_duplicates(held_out_thumbnails, train_thumbnails, spread)[:, 1]
                ] = True
            rebalance(split, is_unwanted)
        removed_counts[name] = int(is_unwanted.sum())
        if len(kept_rows := (~is_unwanted).nonzero().flatten()):
            source_rows = kept_rows if split.rows is None else split.rows[kept_rows]
            arrays[f"x_{array_suffix}"] = split.pixels[source_rows].numpy()
            if "label" in split.columns:
                arrays[f"y_{array_suffix}"] = split.columns["label"][kept_rows].numpy()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary_path, temporary_path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as problem:
        raise Error(
            f"{path} cannot be written ({problem.strerror}); give another --clean."
        ) from None
    return path, removed_counts


def rebalance(split: Split, is_unwanted: torch.Tensor) -> None:
    """Marks the last images of a dominating class, until the others are as many."""
    for _, class_codes, class_names, max_share in iterate_classes(split):
        counts = torch.bincount(class_codes[~is_unwanted], minlength=len(class_names))
        if counts.max() > max_share * counts.sum():
            majority_rows = ((class_codes == counts.argmax()) & ~is_unwanted).nonzero().flatten()
            is_unwanted[majority_rows[int(counts.sum() - counts.max()) :]] = True
