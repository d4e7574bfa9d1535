"""Compare a learned prior with N(0, I), a Gaussian mixture and the perfect prior.

python benchmarks/prior.py runs/mnist_conv_vae --seeds 0 1 2 --out runs/prior

For each seed, `latent_prior` is trained twice on the run's latents: without a condition, and with
the label as condition. 10,000 samples of each are compared with the test images, in the features
of a classifier of the labels. The perfect prior decodes samples from the posteriors of the
validation images: a prior equal to the aggregate posterior would give these images. The result is
Markdown: distances, minutes of training, accuracy of the condition, and the distance and speed of
each sampler and number of steps.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

import latentia
from latentia.core.seeding import sample_normal_rows
from latentia.metrics.coverage import prdc
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import get_label_classifier
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows

GRID = [("heun", 8), ("heun", 16), ("euler", 16), ("ddpm", 16), ("heun", 125)]


def decode_batches(model: Any, z: Tensor) -> Iterator[Tensor]:
    for batch in z.split(500):
        yield model.decode(batch)


def print_quality(name: str, real: Tensor, features: Tensor, note: str = "") -> None:
    """Print a row of the table: distance to the real images, precision, recall and coverage."""
    coverage, distance = prdc(real, features), estimate_frechet_distance(real, features)
    cells = f"{coverage.precision:.3f} | {coverage.recall:.3f} | {coverage.coverage:.3f}"
    print(f"| {name} | {distance} | {cells} | {note} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--path", default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = RunFolder.open(args.run)
    images, model = run.images(), run.autoencoder()
    classifier, test = get_label_classifier(images), images.split("test")
    train = images.split("train")
    real = classifier.extract_features(batch.image for batch in test.iterate_batches(500))
    n, shape = len(test), model.latent_shape

    def measure_samples(name: str, samples: list[Tensor], note: str = "") -> None:
        print_quality(name, real, classifier.extract_features(samples), note)

    print(f"{run.name}: {n:,} samples against {n:,} test images")
    print("| prior | Fréchet distance | precision | recall | coverage | requested label, minutes |")
    print("|---|---|---|---|---|---|")
    noise = sample_normal_rows(n, shape, seed=0, purpose="benchmark")
    measure_samples("N(0, I)", list(decode_batches(model, noise)))
    posteriors = [model.encode(batch.image) for batch in train.iterate_batches(500)]
    means, sds = (torch.cat([getattr(p, k) for p in posteriors]) for k in ("mean", "sd"))
    latents = means + sds * sample_normal_rows(len(means), shape, seed=1, purpose="benchmark")
    mixture = GaussianMixture(10, random_state=0).fit(latents.flatten(1).double().numpy())
    z = torch.from_numpy(mixture.sample(n)[0]).float().reshape(n, *shape)
    measure_samples("10 Gaussians", list(decode_batches(model, z)))
    # the test images are the reference: their posteriors would share its sampling error
    batches = images.split("validation").iterate_batches(500)
    posteriors = [model.encode(batch.image) for batch in batches]
    means, sds = (torch.cat([getattr(p, k) for p in posteriors]) for k in ("mean", "sd"))
    rows = torch.arange(n) % len(means)
    measure_samples("perfect", list(decode_batches(model, means[rows] + sds[rows] * noise)))

    labels = torch.arange(n) % 10
    unconditional: Any = None
    for seed in args.seeds:
        for cond in (None, "label"):
            path = args.out / f"{cond or 'free'}-{seed}"
            if (path / "run.json").exists():
                latentia.resume(path)
            else:
                parameters = {
                    k: v for k in ("epochs", "path") if (v := getattr(args, k)) is not None
                }
                options = latentia.Options(seed=seed, threads=args.threads, precision="fp32")
                latentia.train(
                    "latent_prior",
                    autoencoder=run,
                    cond=cond,
                    run=path,
                    options=options,
                    **parameters,
                )
            prior: Any = latentia.load(path).model
            minutes = f"{read_rows(path / 'timing.jsonl')[-1]['seconds'] / 60:.1f} min"
            if cond is None:
                unconditional = prior
                for guidance in sorted({1.0, prior.sampling.guidance}):
                    setting = replace(prior.sampling, guidance=guidance)
                    samples = prior.sample(n, seed=seed, sampling=setting).split(500)
                    measure_samples(
                        f"learned, guidance {guidance:g}, seed {seed}", list(samples), minutes
                    )
                continue
            for guidance in sorted({1.0, prior.sampling.guidance}):
                setting = replace(prior.sampling, guidance=guidance)
                samples = prior.sample(n, seed=seed, cond=labels, sampling=setting).split(500)
                accuracy = (classifier.classify(samples).argmax(1) == labels).double().mean().item()
                note = f"{accuracy:.2%} of the requested label; {minutes}"
                measure_samples(
                    f"by label, guidance {guidance:g}, seed {seed}", list(samples), note
                )

    assert unconditional is not None
    print("\n| sampler | steps | Fréchet distance | images/s |\n|---|---|---|---|")
    for sampler, steps in GRID:
        setting = replace(unconditional.sampling, sampler=sampler, steps=steps)
        start = time.perf_counter()
        samples = unconditional.sample(n, seed=0, sampling=setting).split(500)
        speed = n / (time.perf_counter() - start)
        distance = estimate_frechet_distance(real, classifier.extract_features(samples))
        print(f"| {sampler} | {steps} | {distance} | {speed:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
