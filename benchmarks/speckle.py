"""How like the true speckle is what is drawn for a pattern that was never seen? docs/speckle.md.

python benchmarks/speckle.py runs/speckle_ldm [--n 500] [--picture docs/images/speckle.png]

For test patterns, Pearson's correlation with the true speckle of: a sample of the diffusion, the
mean of eight, the autoencoder's reconstruction of the true speckle (what the decoder can do at
best), the mean speckle of the training images, and the true speckle of another pattern. Then
contrast and grain size. Means with 95 % intervals over patterns, printed as Markdown.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

import latentia
from latentia.metrics.speckle import contrast, grain_size, pixel_correlation
from latentia.report.grids import save
from latentia.report.prior_figures import sample_conditions
from latentia.report.rendered_images import render_grid

LEAST = 0.02  # of the mean training image's largest value: the lit region


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--picture")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    run = latentia.Run.open(given.run)
    model, images = run.model(), run.images()
    test = images.split("test")
    if given.picture:
        shown, rows_are = sample_conditions(model, test)
        save(given.picture, render_grid(shown, 10, f"{run.name}: {rows_are}").encoders)
    batch = test.batch(slice(0, given.n))
    n, cond = len(batch.image), batch.columns["pattern"]
    train = images.split("train")
    mean = torch.stack([b.image.sum(0) for b in train.batches(500)]).sum(0) / len(train)
    rows, columns = (np.flatnonzero(mean[0].amax(k) > LEAST * mean.max()) for k in (1, 0))

    def lit(x: Tensor) -> np.ndarray:
        return x[:, 0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].numpy()

    truth = lit(batch.image)
    draws = np.stack([lit(model.sample(n, seed=seed, cond=cond)) for seed in range(8)])  # pyright: ignore
    kinds = {
        "a sample": draws[0],
        "the mean of 8 samples": draws.mean(0),
        "reconstruction of the truth": lit(model.autoencoder.reconstruct(batch.image)),  # pyright: ignore
        "mean speckle": np.broadcast_to(lit(mean[None]), truth.shape),
        "speckle of another pattern": np.roll(truth, 1, axis=0),
    }
    print(f"{run.name}: {n} test patterns of {images.source.name}\n")
    print("| | correlation with the truth | contrast | grain, pixels |\n|---|---|---|---|")
    print(f"| truth | 1 | {_told(contrast(truth))} | {grain_size(truth):.2f} |")
    for kind, drawn in kinds.items():
        like = _told(pixel_correlation(truth, drawn))
        print(f"| {kind} | {like} | {_told(contrast(drawn))} | {grain_size(drawn):.2f} |")


def _told(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
