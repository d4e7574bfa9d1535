"""Are latents told apart by weighting total correlation? Sprites; docs/disentangling.md.

python benchmarks/disentangling.py --seeds 0 1 2 --threads 1 --out runs/dis

For each seed one VAE of 64x64 images with the plain rate (`kl`), and one with the total correlation
weighted (`tc`), for the same steps. MIG, DCI and SAP of posterior means on 10,000 sprites that
neither saw; NELBO and its parts (beta 1) on the test split. `--only vehicles` trains the latter on
vehicles; `latentia relate` then says which of its dimensions carries which factor.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import latentia
from latentia.core.schedules import constant, cosine
from latentia.data import open_images
from latentia.data.synthetic.sprites import make_sprites
from latentia.latents.encoding import encode_split
from latentia.losses.likelihoods import Bernoulli
from latentia.metrics.disentanglement import measure_disentanglement
from latentia.metrics.elbo import elbo
from latentia.models.vae import VAE
from latentia.nets.conv import ConvDecoder, ConvEncoder
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
    """`conv_vae` with a quarter of its arithmetic."""
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
    parser = argparse.ArgumentParser()
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
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    weighted = {"divergence": {"divergence": "tc", "tc_weight": given.tc_weight}}

    def trained(name: str, data: str, seed: int, edits: dict) -> latentia.Run:
        path = given.out / name
        if (path / "run.json").exists():
            latentia.resume(path)  # a complete run stays as it is
        else:
            knobs = {k: getattr(given, k) for k in ("latent", "lr", "batch", "epochs")}
            knobs["data"] = f"{data}:{given.images}"
            options = latentia.Options(seed=seed, threads=given.threads)
            latentia.train(
                f"{__file__}:small_vae", run=path, options=options, modifiers=edits, **knobs
            )
        return latentia.Run.open(path)

    if given.only == "vehicles":
        trained("vehicles", "vehicles", given.seeds[0], weighted)
        return
    images, columns, _ = make_sprites(N, seed=1)
    unseen = open_images(images, size=64, channels=1).split("all")
    heads = ["run", *(name.replace("_", " ") for name in (*FIGURES, *PARTS)), "minutes"]
    print("|".join(["", *heads, ""]), "|".join(["", *["---"] * len(heads), ""]), sep="\n")
    for kind, edits in (("kl", {}), ("tc", weighted)):
        if given.only not in (None, kind):
            continue
        rows = []
        for seed in given.seeds:
            run = trained(f"{kind}-{seed}", "sprites", seed, edits)
            model, test = run.model(), run.images().split("test")
            found = measure_disentanglement(encode_split(model, unseen).mean, columns)  # pyright: ignore
            found |= elbo(model, test)
            minutes = read_rows(run.path / "timing.jsonl")[-1]["seconds"] / 60
            rows.append([*(found[name] for name in (*FIGURES, *PARTS)), minutes])
            show(f"{kind}, seed {seed}", [f"{value:.3g}" for value in rows[-1]])
        mean, sd = np.mean(rows, 0), np.std(rows, 0, ddof=1) if len(rows) > 1 else None
        if sd is not None:
            both = [f"{m:.3g} ± {s:.2g}" for m, s in zip(mean, sd, strict=True)]
            show(f"{kind}, mean ± sd of {len(rows)}", both)


def show(name: str, cells: list[str]) -> None:
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
