"""Compare `mnist_gan` with `mnist_dcgan` and with controls: docs/benchmarks/gan.md.

python benchmarks/gans.py --data mnist --epochs 2 --seeds 0 1 2 --out runs/gans

For each seed, `mnist_gan` and `mnist_dcgan` (at the best of `--rates` for the first seed) are
trained on the same number of images. Each control, for the first seed, is `mnist_gan` with one
property of the DCGAN: its loss, no penalty, a constant learning rate, or the last weights instead
of their average. 10,000 samples are compared with the test images, in the features of a classifier
of the digits.
"""

import argparse
from pathlib import Path
from typing import Annotated, Literal

import torch
from run_cache import load_or_train
from typing_extensions import Doc

import latentia
from latentia.core.schedules import constant, cosine, exponential
from latentia.data import open_images
from latentia.losses.adversarial import NonSaturating, Relativistic
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.label_classifier import get_label_classifier
from latentia.models.gan import GAN
from latentia.nets.critic import ResidualCritic
from latentia.nets.generator import ResidualGenerator
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_tensors
from latentia.training.log import read_rows
from latentia.training.parameter_types import Data, Epochs

N = 10_000


@latentia.recipe
def control(
    data: Data = "mnist",
    loss: Annotated[
        Literal["relativistic", "non-saturating"], Doc("loss of both players")
    ] = "relativistic",
    gamma: Annotated[float, Doc("initial weight of the penalties")] = 1.0,
    rate: Annotated[Literal["cosine", "constant"], Doc("schedule of the learning rate")] = "cosine",
    epochs: Epochs = 2,
) -> latentia.Plan:
    """A recipe like `mnist_gan`, with one property changed."""
    images = open_images(data, size=28, channels=1)
    model = GAN(
        ResidualGenerator(64, images.shape, channels=(64, 32)),
        ResidualCritic(images.shape, channels=(32, 64)),
        Relativistic() if loss == "relativistic" else NonSaturating(),
        exponential(gamma, gamma / 10) if gamma else None,
        sigmoid_output=False,
    )
    schedule = cosine(warmup=0.02, end=0.1) if rate == "cosine" else constant(1.0)
    adam = latentia.Adam(1e-3, betas=(0.0, 0.99), schedule=schedule)
    return latentia.Plan(model, images, {"critic": adam, "generator": adam}, 64, epochs, 20_000.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 5e-4, 1e-3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("gan", "dcgan", "controls"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    def train_gan(name: str, recipe: str, seed: int, **parameters) -> RunFolder:
        options = latentia.Options(seed=seed, threads=args.threads, precision="fp32")
        parameters |= {"data": args.data, "epochs": args.epochs}
        return load_or_train(args.out / f"{name}-{seed}", recipe, options, **parameters)

    images = None
    classifier = real = None

    def measure_samples(run: RunFolder, name: str, last: bool = False) -> float:
        nonlocal images, classifier, real
        if images is None:
            images = run.images()
            classifier = get_label_classifier(images)
            real = classifier.extract_features(
                batch.image for batch in images.split("test").iterate_batches(500)
            )
        assert classifier is not None
        assert real is not None
        model = run.model()
        if last:
            tensors, _ = read_tensors(run.state)
            weights = {k.removeprefix("model|"): v for k, v in tensors.items() if k[:6] == "model|"}
            model.load_state_dict(weights)
        samples = model.sample(N, seed=0).split(500)
        distance = estimate_frechet_distance(real, classifier.extract_features(samples))
        counts = torch.bincount(classifier.classify(samples).argmax(1), minlength=10)
        seconds = read_rows(run.path / "timing.jsonl")[-1]["seconds"]
        print(
            f"| {name} | {run.options.seed} | {distance} | {counts.min() / N:.1%} "
            f"(a {counts.argmin()}) | {seconds / 60:.1f} |",
            flush=True,
        )
        return distance.value

    print("| run | seed | Fréchet distance | smallest class | minutes |\n|---|---|---|---|---|")
    first, *rest = args.seeds
    recipe = f"{__file__}:control"
    if args.only in (None, "gan"):
        for seed in args.seeds:
            measure_samples(train_gan("gan", "mnist_gan", seed), "mnist_gan")
    if args.only in (None, "dcgan"):

        def measure_dcgan(lr: float, seed: int) -> float:
            run = train_gan(f"dcgan-{lr:g}", "mnist_dcgan", seed, lr=lr, critic_lr=lr, gamma=0.0)
            distance = measure_samples(run, f"DCGAN, rate {lr:g}", last=True)
            if run.metadata["arguments"].get("average"):
                measure_samples(run, f"DCGAN, rate {lr:g}, averaged")
            return distance

        distances = {lr: measure_dcgan(lr, first) for lr in args.rates}
        for seed in rest:
            measure_dcgan(min(distances, key=lambda lr: distances[lr]), seed)
    if args.only in (None, "controls"):
        measure_samples(
            train_gan("gan", "mnist_gan", first), "the last weights, no average", last=True
        )
        for name, parameters in {
            "the DCGAN's loss": {"loss": "non-saturating"},
            "no penalty": {"gamma": 0.0},
            "constant rate": {"rate": "constant"},
        }.items():
            measure_samples(
                train_gan(name.replace(" ", "-").replace("/", "_"), recipe, first, **parameters),
                name,
            )


if __name__ == "__main__":
    main()
