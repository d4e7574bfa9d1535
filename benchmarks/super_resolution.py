"""Sharpen digits of 8x8 to 32x32, beside bicubic interpolation: docs/how-to/pairs.md.

python benchmarks/super_resolution.py write FOLDER [--data DIR] [--n 12000]
python benchmarks/super_resolution.py measure runs/sharp [--n 2000] [--draws 8]

`write` pads the digits of MNIST to 32x32 and writes them to FOLDER/sharp/SPLIT/CLASS/, and the
means of blocks of 4x4 pixels to FOLDER/coarse/. `measure` prints, for test digits: the mean squared
error per pixel, and how often a classifier of the sharp digits is right. Intervals are 95 %.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from latentia.data import open_images
from latentia.metrics.label_classifier import get_label_classifier
from latentia.runs.folder import RunFolder

FACTOR, MARGIN = 4, 2


def write_pairs(folder: Path, data: str, n: int) -> None:
    images = open_images(data)
    for name, count in (("train", n), ("test", 2000)):
        split = images.split(name)
        batch = split.get_batch(slice(0, count))
        pixels = (F.pad(batch.image[:, 0], [MARGIN] * 4) * 255).round()
        coarse = F.avg_pool2d(pixels, FACTOR).round()
        for k, label in enumerate(batch.columns["label"].tolist()):
            for kind, image in (("sharp", pixels[k]), ("coarse", coarse[k])):
                file = folder / kind / name / str(label) / f"{k:05}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.numpy().astype(np.uint8)).save(file)


def enlarge(images: Tensor) -> Tensor:
    """Interpolate images (n, 1, h, w) as Pillow does, bicubic, clipped to [0, 1]."""
    size = [FACTOR * side for side in images.shape[:1:-1]]
    bicubic = Image.Resampling.BICUBIC
    arrays = [np.asarray(Image.fromarray(each[0].numpy()).resize(size, bicubic)) for each in images]
    return torch.from_numpy(np.stack(arrays))[:, None].clip(0, 1)


def measure(run_folder: str, n: int, n_draws: int) -> None:
    run = RunFolder.open(run_folder)
    model, images = run.model(), run.images()
    test, classifier = images.split("test").subsample(n), get_label_classifier(images)
    batch = test.get_batch(slice(None))
    cond, truth, labels = batch.columns["input"], batch.image, batch.columns["label"]
    draws = torch.stack([model.sample(len(cond), seed=k, cond=cond) for k in range(n_draws)])
    kinds = {
        "bicubic": enlarge(cond),
        "a draw": draws[0],
        f"the mean of {n_draws} draws": draws.mean(0),
        "reconstruction of the truth": model.autoencoder.reconstruct(truth),  # pyright: ignore
        "truth": truth,
    }
    print(f"{run.name}: {len(cond):,} test digits\n")
    print("| | squared error | classifier right |\n|---|---|---|")
    for kind, pixels in kinds.items():
        errors = (pixels - truth).square().mean((1, 2, 3))
        is_right = (classifier.classify([pixels]).argmax(1) == labels).float()
        print(f"| {kind} | {format_interval(errors, 4)} | {format_interval(100 * is_right, 1)} % |")
    print(f"\nmean standard deviation of a pixel over the draws: {draws.std(0).mean():.3f}")


def format_interval(values: Tensor, digits: int) -> str:
    half = 1.96 * values.std() / len(values) ** 0.5
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writer, judge = commands.add_parser("write"), commands.add_parser("measure")
    writer.add_argument("folder", type=Path)
    writer.add_argument("--data", default="mnist")
    writer.add_argument("--n", type=int, default=12_000)
    judge.add_argument("run")
    judge.add_argument("--n", type=int, default=2000)
    judge.add_argument("--draws", type=int, default=8)
    args = parser.parse_args()
    if args.command == "write":
        write_pairs(args.folder, args.data, args.n)
    else:
        measure(args.run, args.n, args.draws)
