"""What makes the modern GAN better? Against the DCGAN at the same images seen; docs/gan.md.

python benchmarks/gans.py --data mnist --epochs 2 --seeds 0 1 2 --out runs/gans

For each seed `mnist_gan` and `mnist_dcgan` (at the best of `--rates` by the first seed) see the
same images. Controls, first seed: `mnist_gan` with one thing as in the DCGAN: its loss, no penalty,
a constant learning rate, the last weights instead of their average. 10,000 samples against the
test images, in features of a classifier of the digits.
"""

import argparse
from pathlib import Path
from typing import Annotated, Literal

import torch
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
from latentia.training.checkpoint import read_tensors
from latentia.training.log import read_rows
from latentia.training.parameter_types import Data, Epochs

N = 10_000


@latentia.recipe
def control(
    data: Data = "mnist",
    loss: Annotated[Literal["relativistic", "non-saturating"], Doc("of both")] = "relativistic",
    gamma: Annotated[float, Doc("first weight of the penalties")] = 1.0,
    rate: Annotated[Literal["cosine", "constant"], Doc("of learning")] = "cosine",
    epochs: Epochs = 2,
) -> latentia.Plan:
    """`mnist_gan` with one thing changed."""
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 5e-4, 1e-3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("gan", "dcgan", "controls"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    def trained(name: str, recipe: str, seed: int, **knobs) -> latentia.Run:
        path = given.out / f"{name}-{seed}"
        if (path / "run.json").exists():
            latentia.resume(path)  # a complete run stays as it is
        else:
            options = latentia.Options(seed=seed, threads=given.threads)
            knobs |= {"data": given.data, "epochs": given.epochs}
            latentia.train(recipe, run=path, options=options, **knobs)
        return latentia.Run.open(path)

    images = None
    judge = real = None

    def judged(run: latentia.Run, name: str, last: bool = False) -> float:
        nonlocal images, judge, real
        if images is None:
            images = run.images()
            judge = get_label_classifier(images)
            real = judge.embed(batch.image for batch in images.split("test").batches(500))
        assert judge is not None
        assert real is not None
        model = run.model()
        if last:
            tensors, _ = read_tensors(run.state)
            own = {k.removeprefix("model|"): v for k, v in tensors.items() if k[:6] == "model|"}
            model.load_state_dict(own)
        drawn = model.sample(N, seed=0).split(500)
        distance = estimate_frechet_distance(real, judge.embed(drawn))
        counts = torch.bincount(judge.classify(drawn).argmax(1), minlength=10)
        seconds = read_rows(run.path / "timing.jsonl")[-1]["seconds"]
        print(
            f"| {name} | {run.options.seed} | {distance} | {counts.min() / N:.1%} "
            f"(a {counts.argmin()}) | {seconds / 60:.1f} |",
            flush=True,
        )
        return distance.value

    print("| run | seed | Fréchet distance | smallest class | minutes |\n|---|---|---|---|---|")
    first, *rest = given.seeds
    own = f"{__file__}:control"
    if given.only in (None, "gan"):
        for seed in given.seeds:
            judged(trained("gan", "mnist_gan", seed), "mnist_gan")
    if given.only in (None, "dcgan"):

        def dcgan(lr: float, seed: int) -> float:
            run = trained(f"dcgan-{lr:g}", "mnist_dcgan", seed, lr=lr, critic_lr=lr, gamma=0.0)
            found = judged(run, f"DCGAN, rate {lr:g}", last=True)
            if run.metadata["arguments"].get("average"):
                judged(run, f"DCGAN, rate {lr:g}, averaged")
            return found

        told = {lr: dcgan(lr, first) for lr in given.rates}
        for seed in rest:
            dcgan(min(told, key=lambda lr: told[lr]), seed)
    if given.only in (None, "controls"):
        judged(trained("gan", "mnist_gan", first), "the last weights, no average", last=True)
        for name, knobs in {
            "the DCGAN's loss": {"loss": "non-saturating"},
            "no penalty": {"gamma": 0.0},
            "constant rate": {"rate": "constant"},
        }.items():
            judged(trained(name.replace(" ", "-").replace("/", "_"), own, first, **knobs), name)


if __name__ == "__main__":
    main()
