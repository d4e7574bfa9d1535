"""How good is a learned prior? Against N(0, I), a Gaussian mixture and the perfect prior.

python benchmarks/prior.py runs/mnist_conv_vae --seeds 0 1 2 --out runs/prior

For each seed `latent_prior` is trained twice on the run's latents, without and with the label as
condition; 10,000 samples of each are compared with the test images in features of a classifier
trained on the labels. The perfect prior is decoded draws from the posteriors of the validation
images: what the decoder would give if the prior were right. Printed as Markdown, with minutes of
training, samples by label, and the unconditional distance and speed by sampler and steps.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

import latentia
from latentia.core.seeding import sample_normal_rows
from latentia.metrics.coverage import prdc
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import get_label_classifier
from latentia.training.log import read_rows

GRID = [("heun", 8), ("heun", 16), ("euler", 16), ("ddpm", 16), ("heun", 125)]


def decoded(model, z: Tensor) -> Iterator[Tensor]:
    for part in z.split(500):
        yield model.decode(part)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--path", default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    run = latentia.Run.open(given.run)
    images, model = run.images(), run.autoencoder()
    judge, test, train = get_label_classifier(images), images.split("test"), images.split("train")
    real = judge.embed(batch.image for batch in test.batches(500))
    n, shape = len(test), model.latent_shape

    def judged(name: str, drawn: list[Tensor], note: str = "") -> float:
        features = judge.embed(drawn)
        found, spread = prdc(real, features), estimate_frechet_distance(real, features)
        told = f"{found.precision:.3f} | {found.recall:.3f} | {found.coverage:.3f}"
        print(f"| {name} | {spread} | {told} | {note} |", flush=True)
        return spread.value

    print(f"{run.name}: {n:,} samples against {n:,} test images")
    print("| prior | Fréchet distance | precision | recall | coverage | |")
    print("|---|---|---|---|---|---|")
    noise = sample_normal_rows(n, shape, seed=0, purpose="benchmark")
    judged("N(0, I)", list(decoded(model, noise)))
    posteriors = [model.encode(batch.image) for batch in train.batches(500)]
    means, sds = (torch.cat([getattr(p, k) for p in posteriors]) for k in ("mean", "sd"))
    draws = means + sds * sample_normal_rows(len(means), shape, seed=1, purpose="benchmark")
    mixture = GaussianMixture(10, random_state=0).fit(draws.flatten(1).double().numpy())
    z = torch.from_numpy(mixture.sample(n)[0]).float().reshape(n, *shape)
    judged("10 Gaussians", list(decoded(model, z)))
    # not of the test images, which are the reference: both would share one sampling error
    batches = images.split("validation").batches(500)
    posteriors = [model.encode(batch.image) for batch in batches]
    means, sds = (torch.cat([getattr(p, k) for p in posteriors]) for k in ("mean", "sd"))
    rows = torch.arange(n) % len(means)
    judged("perfect", list(decoded(model, means[rows] + sds[rows] * noise)))

    labels = torch.arange(n) % 10
    free = None
    for seed in given.seeds:
        for cond in (None, "label"):
            path = given.out / f"{cond or 'free'}-{seed}"
            if (path / "run.json").exists():
                latentia.resume(path)
            else:
                knobs = {k: v for k in ("epochs", "path") if (v := getattr(given, k)) is not None}
                options = latentia.Options(seed=seed, threads=given.threads)
                latentia.train(
                    "latent_prior", autoencoder=run, cond=cond, run=path, options=options, **knobs
                )
            prior = latentia.load(path)
            took = f"{read_rows(path / 'timing.jsonl')[-1]['seconds'] / 60:.1f} min"
            if cond is None:
                free = prior
                for guidance in sorted({1.0, prior.sampling.guidance}):
                    setting = replace(prior.sampling, guidance=guidance)
                    drawn = prior.sample(n, seed=seed, sampling=setting).split(500)
                    judged(f"learned, guidance {guidance:g}, seed {seed}", list(drawn), took)
                continue
            how = prior.sampling
            for guidance in sorted({1.0, how.guidance}):
                setting = replace(how, guidance=guidance)
                drawn = prior.sample(n, seed=seed, cond=labels, sampling=setting).split(500)
                right = (judge.classify(drawn).argmax(1) == labels).double().mean().item()
                note = f"{right:.2%} of the label asked for; {took}"
                judged(f"by label, guidance {guidance:g}, seed {seed}", list(drawn), note)

    assert free is not None
    print("\n| sampler | steps | Fréchet distance | images/s |\n|---|---|---|---|")
    for sampler, steps in GRID:
        setting = replace(free.sampling, sampler=sampler, steps=steps)
        started = time.perf_counter()
        drawn = free.sample(n, seed=0, sampling=setting).split(500)
        speed = n / (time.perf_counter() - started)
        distance = estimate_frechet_distance(real, judge.embed(drawn))
        print(f"| {sampler} | {steps} | {distance} | {speed:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
