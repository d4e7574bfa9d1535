"""Kill trainings at random moments, resume them, and compare the bytes with uninterrupted runs.

`python dev/kills.py --kills 300 --seed 0` draws for each kill a family of models and a moment of
its training, whose process is forked from one that has imported all, sends SIGKILL, and resumes
until the training ends. The log, the weights and the state must have the bytes of a run that
nothing interrupted. A kill may come before there is a run: then the same `train` begins again. One
line a kill; the last line counts, and the exit code is 1 if a byte differs.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from command_kills import start, wait

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")
COMMON = "--batch 8 --epochs 12 --save-every 3 --log-every 2 --threads 1 --precision fp32"
FAMILIES = {
    "mnist_mlp_vae": "--data 28x28.npy --hidden 8 --latent 3",
    "mnist_iwae": "--data 28x28.npy --hidden 8 --latent 3 --k 3",
    "conv_vae": "--data 12x10.npy --latent 3",
    "mnist_gan": "--data 28x28.npy --latent 3",
    "mnist_dcgan": "--data 28x28.npy --latent 3",
    "vaegan": "--data 24x20.npy --size 24x20 --latent 3 --adversary-from 0.1",
    "image_autoencoder": "--data 24x16.npy --size 24x16 --latent 2 --width 4 --adversary-from 0.1",
    "latent_prior": "--autoencoder parent --width 16 --depth 1",
}


def finish(process: int, folder: Path) -> None:
    if code := wait(process):
        log = folder.with_name(f"{folder.name}.log").read_text(errors="replace")
        sys.exit(f"exit code {code}: {log}")


def train_words(family: str, run: str) -> list[str]:
    return ["train", family, *FAMILIES[family].split(), *COMMON.split(), "--run", run]


def prepare(folder: Path) -> None:
    """Write the toy images and train the run on which a prior is trained."""
    for size in ("28x28", "12x10", "24x20", "24x16"):
        shape = (60, *map(int, size.split("x")))
        np.save(folder / f"{size}.npy", np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    finish(start(train_words("mnist_mlp_vae", "parent"), folder), folder)


def read_files(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in FILES}


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill trainings, resume them, compare the bytes.")
    parser.add_argument("--kills", type=int, default=300, help="number of kills (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default 0)")
    parser.add_argument("--families", help="names, separated by commas (default: all)")
    args = parser.parse_args()
    rng, kills, failures = random.Random(args.seed), 0, 0
    families = (args.families or ",".join(FAMILIES)).split(",")
    whole: dict[str, tuple[dict[str, bytes], float]] = {}
    import latentia.cli.train_actions  # noqa: F401  (once, for all forks)
    from latentia.report import page

    page.write_report = lambda *_: None  # most of a toy's time, and no part of the comparison
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "work")
        folder.mkdir()
        os.environ["LATENTIA_CACHE"] = str(folder / "cache")
        prepare(folder)
        while kills < args.kills:
            family = families[kills % len(families)]
            if family not in whole:
                begin = time.monotonic()
                finish(start(train_words(family, f"whole-{family}"), folder), folder)
                whole[family] = read_files(folder / f"whole-{family}"), time.monotonic() - begin
            content, duration = whole[family]
            run, moments = folder / "cut", []
            for _ in range(min(rng.choice((1, 1, 2, 3)), args.kills - kills)):
                exists = (run / "run.json").exists()
                words = ["resume", "cut"] if exists else train_words(family, "cut")
                process, moment = start(words, folder), rng.uniform(0, 1) * duration
                time.sleep(moment)
                os.kill(process, signal.SIGKILL)  # one that has ended is not killed
                if wait(process) != -signal.SIGKILL:
                    continue
                kills += 1
                saved = "saved" if (run / "state.safetensors").exists() else "not saved"
                moments.append(f"{moment:.2f} s ({saved})")
            exists = (run / "run.json").exists()
            words = ["resume", "cut"] if exists else train_words(family, "cut")
            finish(start(words, folder), folder)
            different = [n for n, c in read_files(run).items() if c != content[n]]
            failures += bool(different)
            verdict = f"differs in {', '.join(different)}" if different else "same bytes"
            print(f"{kills:4} {family}: killed at {', '.join(moments)}: {verdict}", flush=True)
            shutil.rmtree(run)
    print(f"{kills} kills, seed {args.seed}: {failures} runs differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
