"""Compare the samples for test patterns with the true speckle: docs/benchmarks/speckle.md.

python benchmarks/speckle.py runs/speckle_ldm [--n 500] [--picture docs/images/speckle.png]

The table shows Pearson's correlation with the true speckle, the contrast and the grain size of: a
sample of the diffusion, the mean of eight samples, the autoencoder's reconstruction of the true
speckle (the best that the decoder can do), the mean speckle of the training images, and the true
speckle of another pattern. Values are means with 95 % intervals over test patterns.
"""

import argparse

import numpy as np
import torch
from speckle_statistics import contrast, grain_size, pixel_correlation
from torch import Tensor

from latentia.report.grids import save
from latentia.report.prior_figures import sample_conditions
from latentia.report.rendered_images import render_grid
from latentia.runs.folder import RunFolder

MIN_INTENSITY = 0.02  # of the maximum of the mean training image, inside the illuminated region


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--picture")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = RunFolder.open(args.run)
    model, images = run.model(), run.images()
    test = images.split("test")
    if args.picture:
        samples, caption = sample_conditions(model, test)
        save(args.picture, render_grid(samples, 10, f"{run.name}: {caption}").encoders)
    batch = test.get_batch(slice(0, args.n))
    n, cond = len(batch.image), batch.columns["pattern"]
    train = images.split("train")
    mean = torch.stack([b.image.sum(0) for b in train.iterate_batches(500)]).sum(0) / len(train)
    rows, columns = (np.flatnonzero(mean[0].amax(k) > MIN_INTENSITY * mean.max()) for k in (1, 0))

    def crop(x: Tensor) -> np.ndarray:
        return x[:, 0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].numpy()

    truth = crop(batch.image)
    draws = np.stack([crop(model.sample(n, seed=seed, cond=cond)) for seed in range(8)])  # pyright: ignore
    kinds = {
        "a sample": draws[0],
        "the mean of 8 samples": draws.mean(0),
        "reconstruction of the truth": crop(model.autoencoder.reconstruct(batch.image)),  # pyright: ignore
        "mean speckle": np.broadcast_to(crop(mean[None]), truth.shape),
        "speckle of another pattern": np.roll(truth, 1, axis=0),
    }
    print(f"{run.name}: {n} test patterns of {images.source.name}\n")
    print("| | correlation with the truth | contrast | grain, pixels |\n|---|---|---|---|")
    print(f"| truth | 1 | {format_interval(contrast(truth))} | {grain_size(truth):.2f} |")
    for kind, speckle in kinds.items():
        correlation = format_interval(pixel_correlation(truth, speckle))
        shape = f"{format_interval(contrast(speckle))} | {grain_size(speckle):.2f}"
        print(f"| {kind} | {correlation} | {shape} |")


def format_interval(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
