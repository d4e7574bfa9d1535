"""Published figures against those of runs made here; writes docs/results.md.

python benchmarks/results.py RUN ... [--pythae PYTHON] [--n 10000] --out docs/results.md

A run's recipe says which rows it fills; rows without a run are left out. Likelihoods are read from
the run's evaluation.json if `latentia evaluate RUN --metrics nll` was there before, and measured
otherwise. --pythae: the Python of an environment that has pythae; without it its rows say why they
are empty. Fréchet distances need runs on the same images, split alike: the first run's.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latentia
from latentia.core.tensors import to_bytes
from latentia.data import Images
from latentia.metrics.distribution import DistanceEstimate, estimate_frechet_distance
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics, save_metrics
from latentia.training.log import read_rows

HERE = Path(__file__).parent
PUBLISHED = {  # recipe and k: what, nats, whose
    ("mnist_mlp_vae", None): ("negative ELBO", (105.5, 105.8), "the MNIST lab's VAE, 10 epochs"),
    ("mnist_iwae", 1): ("likelihood", (86.8, 87.8), "Burda et al. 2016, the VAE"),
    ("mnist_iwae", 5): ("likelihood", (85.5, 85.5), "Burda et al. 2016, IWAE k = 5"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--pythae", help="a Python that can import pythae")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    runs = [latentia.Run.open(path) for path in given.runs]
    lines = [TOP, *likelihoods(runs, given.n)]
    lines += distances(runs, given.n, given.pythae, given.threads)
    given.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def likelihoods(runs: list[latentia.Run], n: int) -> list[str]:
    lines = ["", "## Likelihood, nats per test image", ""]
    lines += ["| recipe | figure | published | measured | n | trained on | |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for run in runs:
        recipe, knobs = run.metadata["recipe"], run.metadata["arguments"]
        if (row := PUBLISHED.get((recipe, knobs.get("k")))) is None:
            continue
        what, (low, high), whose = row
        figure = found(run, "elbo" if what == "negative ELBO" else "nll", n)
        value, error = figure["value"], figure["error"]
        side = value - high if value > high else value - low if value < low else 0.0
        said = f"{side:+.1f} nats" if abs(side) >= 0.05 else "as published"
        published = f"{low}" if low == high else f"{low} to {high}"
        seen = f"{run.metadata['images']['count']['train']:,} images, {knobs['epochs']} epochs"
        left = slope(run) if side else ""
        note = "; ".join(filter(None, (whose, figure["note"], minutes(run), said, left)))
        shown = f"{value:.2f} ± {1.96 * error:.2f}"
        draws = f" k = {knobs['k']}" if "k" in knobs else ""
        lines.append(
            f"| `{recipe}`{draws} | {what} | {published} |"
            f" {shown} | {figure['n']:,} | {seen} | {note} |"
        )
    return lines


def slope(run: latentia.Run) -> str:
    """How fast the objective still fell."""
    rows = [
        r["values"]["nelbo"] for r in read_rows(run.path / "log.jsonl") if r["event"] == "validated"
    ]
    if len(rows) < 20:
        return ""
    tenth = len(rows) // 10
    fall = rows[-1 - tenth] - rows[-1]
    return f"the validation figure fell by {fall:.2f} nats in the last tenth of the epochs"


def found(run: latentia.Run, metric: str, n: int) -> dict[str, Any]:
    """The first figure of a metric on the test split: kept by `latentia evaluate`, or made now."""
    path = run.path / "evaluation.json"
    kept = json.loads(path.read_text()).get("metrics", {}) if path.exists() else {}
    if not kept.get(metric) or kept[metric][0]["split"] != "test":
        images = run.images()
        e = Evaluation(run, images, images.split("test"), n=n)
        result = measure_metrics(e, [metric])
        save_metrics(run, result)
        kept = result["metrics"]
    return kept[metric][0]


def distances(runs: list[latentia.Run], n: int, pythae: str | None, threads: int) -> list[str]:
    drawing = [run for run in runs if run.metadata["recipe"] != "mnist_iwae"]
    if not drawing:
        return []
    lines = ["", "## Fréchet distance of samples, in features of a classifier of the labels", ""]
    lines += ["| samples of | Fréchet distance | images seen in training | |", "|---|---|---|---|"]
    first = drawing[0].images()
    e = Evaluation(drawing[0], first, first.split("test"), features="classifier", n=n)
    spec = first.spec()
    for run in drawing:
        theirs = run.metadata["images"]
        if any(theirs[k] != spec[k] for k in ("fingerprint", "split")):
            print(f"{run.path}: other images or splits than {drawing[0].path}; no distance")
            continue
        e.run = run
        drawn = run.model().sample(len(e.real_features), seed=0).split(500)
        estimate = estimate_frechet_distance(e.real_features, e.extractor.extract(drawn))
        epochs = run.metadata["arguments"]["epochs"]
        seen = f"{epochs * theirs['count']['train']:,}"
        lines.append(f"| {named(run)} | {interval(estimate)} | {seen} | {minutes(run)} |")
    seen = f"{10 * spec['count']['train']:,}"
    for name, (value, note) in peers(first, e, pythae, threads).items():
        lines.append(f"| pythae's VAE, {name} | {value} | {seen} | {note} |")
    size = f"{len(e.real_features):,}"
    lines += ["", f"{size} samples against {size} test images; 95 % bootstrap intervals."]
    return lines


def peers(
    images: Images, e: Evaluation, python: str | None, threads: int
) -> dict[str, tuple[str, str]]:
    """pythae's VAE, 10 epochs on the same training and validation images: distance and minutes."""
    names = {"normal": "latents from N(0, I)", "mixture": "latents from ten fitted Gaussians"}
    if python is None:
        return dict.fromkeys(names.values(), ("not run", "no --pythae was given"))
    with tempfile.TemporaryDirectory() as folder:
        pixels = {
            name: to_bytes(images.split(name).get_batch(slice(None)).image).numpy()
            for name in ("train", "validation")
        }
        np.savez(Path(folder) / "images.npz", **pixels)
        words = [python, str(HERE / "pythae_vae.py"), f"{folder}/images.npz", folder]
        words += ["--n", str(len(e.real_features)), "--threads", str(threads)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no word"])[-1]
            return dict.fromkeys(names.values(), ("failed", why))
        took = float(done.stdout.rsplit("seconds ", 1)[-1]) / 60
        note = f"its default networks, 784-512-20; {took:.1f} min, {in_threads(threads)}"
        found = {}
        for file, name in names.items():
            drawn = torch.from_numpy(np.load(Path(folder) / f"{file}.npy")).float() / 255
            estimate = estimate_frechet_distance(
                e.real_features, e.extractor.extract(drawn.split(500))
            )
            found[name] = interval(estimate), note
    return found


def named(run: latentia.Run) -> str:
    """The recipe, and what it was built on or asked for."""
    knobs = run.metadata["arguments"]
    if "autoencoder" not in knobs:
        return f"`{run.metadata['recipe']}`"
    parent = latentia.Run.open(run.path / "autoencoder").metadata["recipe"]
    asked = f" by {knobs['cond']}" if knobs.get("cond") else ""
    return f"`{run.metadata['recipe']}`{asked} over `{parent}`"


def minutes(run: latentia.Run) -> str:
    seconds = read_rows(run.path / "timing.jsonl")[-1]["seconds"]
    return f"{seconds / 60:.1f} min, {in_threads(run.options.threads or 1)}"


def in_threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


def interval(estimate: DistanceEstimate) -> str:
    return f"{estimate.value:.3g} ± {1.96 * estimate.error:.2g}"


TOP = """# Published figures, and those of runs made here

```sh
python benchmarks/results.py RUN ... --pythae PYTHON --out docs/results.md
```

One run a row, so n = 1 seed; ± is a 95 % interval over test images or samples, not over seeds.
Minutes are of training, on a machine that other work shared: upper bounds.

Likelihoods are bounds: they lie above the truth, less so for a larger K. Those of binarised images
are of one binarisation of the test images, drawn by a fixed seed; the paper's was another draw."""


if __name__ == "__main__":
    main()
