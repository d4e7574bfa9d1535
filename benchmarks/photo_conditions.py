"""Measure how far photo_vae keeps a batch effect in photographs out of its coordinates.

python benchmarks/photo_conditions.py FOLDER --out runs/photo-conditions

FOLDER holds class folders. The images of three batches differ in tint and contrast. Batch and class
are read from the coordinates of test images by linear probes that are fitted to training images,
for runs with and without `--cond batch`. The result is Markdown. A second call uses the runs that
exist.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from conditions import describe_probes
from run_cache import load_or_train

import latentia
from latentia.data.sources.registry import LabelledData

TINTS = np.array([[0.0, 0.0, 0.0], [0.16, -0.08, 0.0], [-0.12, 0.04, 0.16]])
CONTRASTS = np.array([1.0, 0.8, 1.1])


def plant_batches(data: str, size: str | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return photographs whose tint and contrast depend on a random batch, and their labels."""
    images = latentia.open_images(data, size=size)
    split = images.split("all")
    batch = np.random.default_rng(0).integers(len(TINTS), size=len(split))
    pixels = (split[:].numpy() - 0.5) * CONTRASTS[batch][:, None, None, None] + 0.5
    pixels = (pixels + TINTS[batch][:, :, None, None]).clip(0, 1)
    names = np.array(images.get_class_names("label"))
    labels = {"batch": np.array(["a", "b", "c"])[batch]}
    labels["class"] = names[split.columns["label"].numpy()]
    return (255 * pixels).round().astype(np.uint8), labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=Path("runs/photo-conditions"))
    parser.add_argument("--size")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--features", nargs="+", default=["efficientnet", "none"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    images, labels = plant_batches(args.data, args.size)
    options = latentia.Options(threads=1, seed=args.seed)
    print("| run | accuracy of the batch | accuracy of the class | n |\n|---|---|---|---|")
    for features in args.features:
        for name, modifiers in (("plain", {}), ("batch", {"cond": "batch"})):
            parameters: Any = {"epochs": args.epochs, "latent": args.latent, "features": features}
            parameters |= {"data": images, "labels": labels, "augment": "flip,shift", **modifiers}
            run = load_or_train(args.out / f"{features}-{name}", "photo_vae", options, **parameters)
            data = LabelledData(images, labels)
            print(describe_probes(run, data, ("batch", "class")), flush=True)


if __name__ == "__main__":
    main()
