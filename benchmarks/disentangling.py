"""Measure whether a weight on total correlation disentangles sprites.

python benchmarks/disentangling.py --seeds 0 1 2 --threads 1 --out runs/dis

For each seed, one VAE of 64x64 images is trained with the plain rate (`kl`), and one with a weight
on total correlation (`tc`), for the same number of steps. MIG, DCI and SAP are measured on the
posterior means of 10,000 sprites outside the data set, and the negative ELBO with its parts (beta
1) on the test split. `--only vehicles` trains the second VAE on vehicles; `latentia relate` then
shows which of its dimensions carries which factor.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from run_cache import load_or_train

import latentia
from latentia.core.schedules import constant, cosine
from latentia.core.text import format_with_error
from latentia.data import open_images
from latentia.data.synthetic.sprites import make_sprites
from latentia.latents.encoding import encode_split
from latentia.losses.likelihoods import Bernoulli
from latentia.metrics.disentanglement import measure_disentanglement
from latentia.metrics.elbo import elbo
from latentia.models.vae import VAE
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows
from latentia.training.parameter_types import BatchSize, Data, Epochs, Latent, LearningRate

N = 10_000
FIGURES = ("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap")
PARTS = ("nelbo_nats", "distortion_nats", "rate_nats")


@latentia.recipe
def small_vae(
    data: Data = "sprites:20000",
    latent: Latent = 10,
    lr: LearningRate = 1e-3,
    batch: BatchSize = 64,
    epochs: Epochs = 8,
) -> latentia.Plan:
    """A VAE like `conv_vae`, with a quarter of its floating-point operations."""
    images = open_images(data, size=64, channels=1)
    channels, up = (16, 32, 64, 64), (64, 32, 16, 8)
    model = VAE(
        ConvEncoder(images.shape, latent, channels),
        ConvDecoder(latent, images.shape, channels, up),
        Bernoulli(),
        constant(1.0),
    )
    adam = latentia.Adam(lr, schedule=cosine(warmup=0.05))
    return latentia.Plan(model, images, {"vae": adam}, batch, epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--tc-weight", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("kl", "tc", "vehicles"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    weighted = {"divergence": {"divergence": "tc", "tc_weight": args.tc_weight}}

    def train_vae(name: str, data: str, seed: int, modifiers: dict) -> RunFolder:
        parameters = {k: getattr(args, k) for k in ("latent", "lr", "batch", "epochs")}
        parameters |= {"data": f"{data}:{args.images}", "modifiers": modifiers}
        options = latentia.Options(seed=seed, threads=args.threads, precision="fp32")
        return load_or_train(args.out / name, f"{__file__}:small_vae", options, **parameters)

    if args.only == "vehicles":
        train_vae("vehicles", "vehicles", args.seeds[0], weighted)
        return
    images, columns, _ = make_sprites(N, seed=1)
    new_images = open_images(images, size=64, channels=1).split("all")
    header = ["run", *(name.replace("_", " ") for name in (*FIGURES, *PARTS)), "minutes"]
    print("|".join(["", *header, ""]), "|".join(["", *["---"] * len(header), ""]), sep="\n")
    for kind, modifiers in (("kl", {}), ("tc", weighted)):
        if args.only not in (None, kind):
            continue
        rows = []
        for seed in args.seeds:
            run = train_vae(f"{kind}-{seed}", "sprites", seed, modifiers)
            model, test = run.model(), run.images().split("test")
            values = measure_disentanglement(encode_split(model, new_images).mean, columns)  # pyright: ignore
            values |= elbo(model, test)
            minutes = read_rows(run.path / "timing.jsonl")[-1]["seconds"] / 60
            rows.append([*(values[name] for name in (*FIGURES, *PARTS)), minutes])
            print_row(f"{kind}, seed {seed}", [f"{each:.3g}" for each in rows[-1]])
        mean, sd = np.mean(rows, 0), np.std(rows, 0, ddof=1) if len(rows) > 1 else None
        if sd is not None:
            cells = [format_with_error(*pair) for pair in zip(mean, sd, strict=True)]
            print_row(f"{kind}, mean ± sd of {len(rows)}", cells)


def print_row(name: str, cells: list[str]) -> None:
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
