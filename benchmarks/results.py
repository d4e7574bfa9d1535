"""Compare published figures with those of runs of latentia; write docs/benchmarks/results.md.

python benchmarks/results.py RUN ... [--pythae PYTHON] [--n 10000] --out docs/benchmarks/results.md

The recipe of a run selects the rows that it fills; rows without a run are left out. Likelihoods
are read from the run's evaluation.json if `latentia evaluate RUN --metrics nll` has written them,
and measured otherwise. --pythae is the Python of an environment with pythae; without it the rows of
pythae are empty. Fréchet distances require the images and splits of the first run.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentia.core.tensors import to_bytes
from latentia.data import Images
from latentia.metrics.distribution import estimate_frechet_distance
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics, save_metrics
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows

HERE = Path(__file__).parent
PUBLISHED = {  # (recipe, k): quantity, range in nats, source
    ("mnist_mlp_vae", None): ("negative ELBO", (105.5, 105.8), "plain PyTorch, 10 epochs"),
    ("mnist_iwae", 1): ("negative log-likelihood", (86.8, 87.8), "Burda et al. 2016, the VAE"),
    ("mnist_iwae", 5): ("negative log-likelihood", (85.5, 85.5), "Burda et al. 2016, IWAE k = 5"),
    ("mnist_hvae", None): ("negative log-likelihood", (81.7, 81.7), "Sønderby et al. 2016"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--pythae", help="a Python that can import pythae")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    runs = [RunFolder.open(path) for path in args.runs]
    lines = [HEADER, *tabulate_likelihoods(runs, args.n)]
    lines += tabulate_distances(runs, args.n, args.pythae, args.threads)
    args.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def tabulate_likelihoods(runs: list[RunFolder], n: int) -> list[str]:
    lines = ["", "## Likelihood, nats per test image", ""]
    lines += ["| recipe | quantity | reference | measured | n | trained on | source, notes |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for run in runs:
        recipe, parameters = run.metadata["recipe"], run.metadata["arguments"]
        if (row := PUBLISHED.get((recipe, parameters.get("k")))) is None:
            continue
        name, (low, high), source = row
        figure = get_figure(run, "elbo" if name == "negative ELBO" else "nll", n)
        value, error = figure["value"], figure["error"]
        gap = value - high if value > high else value - low if value < low else 0.0
        comparison = f"{gap:+.1f} nats" if abs(gap) >= 0.05 else "as the reference"
        reference = f"{low}" if low == high else f"{low} to {high}"
        images, epochs = run.metadata["images"]["count"]["train"], parameters["epochs"]
        trend = describe_trend(run) if gap else ""
        notes = source, figure["note"], format_minutes(run), comparison, trend
        interval = f"{value:.2f} ± {1.96 * error:.2f}"
        draws = f" k = {parameters['k']}" if "k" in parameters else ""
        lines.append(
            f"| `{recipe}`{draws} | {name} | {reference} |"
            f" {interval} | {figure['n']:,} | {images:,} images, {epochs} epochs |"
            f" {'; '.join(filter(None, notes))} |"
        )
    return [*lines, "", "±: 95 % interval over test images."]


def describe_trend(run: RunFolder) -> str:
    """Say by how much the validation value fell in the last tenth of the epochs."""
    rows = [
        r["values"]["nelbo"] for r in read_rows(run.path / "log.jsonl") if r["event"] == "validated"
    ]
    if len(rows) < 20:
        return ""
    tenth = len(rows) // 10
    fall = rows[-1 - tenth] - rows[-1]
    return f"the validation value fell by {fall:.2f} nats in the last tenth of the epochs"


def get_figure(run: RunFolder, metric: str, n: int) -> dict[str, Any]:
    """The first figure of a metric on the test split, from evaluation.json or measured now."""
    path = run.path / "evaluation.json"
    metrics = json.loads(path.read_text()).get("metrics", {}) if path.exists() else {}
    if not metrics.get(metric) or metrics[metric][0]["split"] != "test":
        images = run.images()
        evaluation = Evaluation(run, images, images.split("test"), n=n)
        result = measure_metrics(evaluation, [metric])
        save_metrics(run, result)
        metrics = result["metrics"]
    return metrics[metric][0]


def tabulate_distances(
    runs: list[RunFolder], n: int, pythae: str | None, threads: int
) -> list[str]:
    sampled_runs = [run for run in runs if run.metadata["recipe"] != "mnist_iwae"]
    if not sampled_runs:
        return []
    lines = ["", "## Fréchet distance of samples, in features of a classifier of the labels", ""]
    lines += ["| samples of | Fréchet distance | images seen in training | notes |"]
    lines += ["|---|---|---|---|"]
    first = sampled_runs[0].images()
    evaluation = Evaluation(sampled_runs[0], first, first.split("test"), features="classifier", n=n)
    metadata = first.to_metadata()
    floor = estimate_frechet_distance(evaluation.real_features, evaluation.other_features)
    row = f"training images, as perfect samples score | {floor}"
    lines.append(f"| {row} | | |")
    for run in sampled_runs:
        run_metadata = run.metadata["images"]
        if any(run_metadata[k] != metadata[k] for k in ("fingerprint", "split")):
            print(f"{run.path}: other images or splits than {sampled_runs[0].path}; no distance")
            continue
        evaluation.run = run
        samples = run.model().sample(len(evaluation.real_features), seed=0).split(500)
        features = evaluation.extractor.extract(samples)
        estimate = estimate_frechet_distance(evaluation.real_features, features)
        epochs = run.metadata["arguments"]["epochs"]
        seen = f"{epochs * run_metadata['count']['train']:,}"
        lines.append(f"| {name_run(run)} | {estimate} | {seen} | {format_minutes(run)} |")
    seen = f"{10 * metadata['count']['train']:,}"
    for name, (value, note) in measure_pythae(first, evaluation, pythae, threads).items():
        lines.append(f"| pythae's VAE, {name} | {value} | {seen} | {note} |")
    size = f"{len(evaluation.real_features):,}"
    lines += ["", f"{size} samples against {size} test images; 95 % bootstrap intervals."]
    return lines


def measure_pythae(
    images: Images, evaluation: Evaluation, python: str | None, threads: int
) -> dict[str, tuple[str, str]]:
    """Train pythae's VAE for 10 epochs on the same images: distances, and notes with minutes."""
    names = {"normal": "latents from N(0, I)", "mixture": "latents from ten fitted Gaussians"}
    if python is None:
        return dict.fromkeys(names.values(), ("not run", "needs --pythae"))
    with tempfile.TemporaryDirectory() as folder:
        pixels = {
            name: to_bytes(images.split(name).get_batch(slice(None)).image).numpy()
            for name in ("train", "validation")
        }
        np.savez(Path(folder) / "images.npz", **pixels)
        command = [python, str(HERE / "pythae_vae.py"), f"{folder}/images.npz", folder]
        command += ["--n", str(len(evaluation.real_features)), "--threads", str(threads)]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            return dict.fromkeys(names.values(), ("failed", reason))
        minutes = float(process.stdout.rsplit("seconds ", 1)[-1]) / 60
        note = f"its default networks, 784-512-20; {minutes:.1f} min, {count_threads(threads)}"
        rows = {}
        for file, name in names.items():
            samples = torch.from_numpy(np.load(Path(folder) / f"{file}.npy")).float() / 255
            estimate = estimate_frechet_distance(
                evaluation.real_features, evaluation.extractor.extract(samples.split(500))
            )
            rows[name] = str(estimate), note
    return rows


def name_run(run: RunFolder) -> str:
    """The recipe, with its condition and its autoencoder if it has them."""
    parameters = run.metadata["arguments"]
    if "autoencoder" not in parameters:
        return f"`{run.metadata['recipe']}`"
    parent = RunFolder.open(run.path / "autoencoder").metadata["recipe"]
    condition = f" by {parameters['cond']}" if parameters.get("cond") else ""
    return f"`{run.metadata['recipe']}`{condition} over `{parent}`"


def format_minutes(run: RunFolder) -> str:
    seconds = read_rows(run.path / "timing.jsonl")[-1]["seconds"]
    return f"{seconds / 60:.1f} min, {count_threads(run.options.threads or 1)}"


def count_threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


HEADER = """# Published results beside ours

```sh
python benchmarks/results.py RUN ... --pythae PYTHON --out docs/benchmarks/results.md
```

Each row is one [run](../reference/glossary.md#run) (n = 1 seed). ± is a 95 % interval over test
images or samples, not over seeds. Minutes are the training time on a machine that was shared with
other work, so they are upper bounds.

The values of the first table are
[upper bounds](../reference/glossary.md#importance-weighted-bound) of the negative log-likelihood,
tighter for larger K. Binarised test images are binarised once, with a fixed seed; the paper used
another sample. A note such as +2.2 [nats](../reference/glossary.md#nats) is the distance from the
reference. The second table compares by
[Fréchet distance](../reference/glossary.md#frechet-distance)."""


if __name__ == "__main__":
    main()
