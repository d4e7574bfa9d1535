"""Every defect, trained: the doctor names it first, and its suggested command removes it.

Images that do not belong to the data are named, and no command removes them.
"""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latentia.cli.main import main
from latentia.diagnostics.diagnose import CHECKS

SEEDS = (0, 1, 2)
LISTED = {"images in two splits", "images given twice", "constant images", "inverted images"}
TOYS = Path(__file__).parent / "toys.py"
DIGITS = "mnist_mlp_vae --data digits --batch 64"
VAE = "mnist_mlp_vae --data digits --batch 32 --epochs 30 --latent 8"
NPZ = "mnist_mlp_vae --batch 32 --epochs 30 --data"
PRIOR = "latent_prior --width 64 --depth 2 --batch 64 --average 20_000"


class Case(NamedTuple):
    """finding: what is planted; words: of `latentia train`; after: what is done to the run then."""

    finding: str
    words: str
    after: Callable[[Path, dict], None] | None = None


def swap(run, here):
    """Another run takes the place of the autoencoder that the prior was trained on."""
    shutil.copy(here["wide"] / "weights.safetensors", run / "autoencoder")


CASES = {
    "two images": Case("too few images", "mnist_mlp_vae --data digits:2 --epochs 2"),
    "200 images": Case("too few images", "mnist_mlp_vae --batch 32 --epochs 80 --data digits:200"),
    "a test image": Case("images in two splits", f"{NPZ} {{shared}}"),
    "copies": Case("images given twice", f"{NPZ} {{repeated}}"),
    "blank": Case("constant images", f"{NPZ} {{blank}}"),
    "inverted": Case("inverted images", f"{NPZ} {{inverted}}"),
    "dark": Case("dark images", f"{NPZ} {{dark}}"),
    "zeros": Case("one class dominates", f"{NPZ} {{zeros}} --hidden 64"),
    "critic at 10 lr": Case(
        "critic too strong", "{toys}:duel --no-relative --gamma 0 --lr 1e-4 --epochs 60"
    ),
    "slow generator": Case("mode collapse", "{toys}:duel --lr 1e-5"),
    # loss 0, one grey picture; at equal rates this pair lives, with either initialisation
    "PyTorch's weights": Case(
        "critic too strong", "{toys}:dcgan --init pytorch --gamma 0 --critic-lr 2e-3"
    ),
    "fast generator": Case("oscillation", "{toys}:duel --lr 1e-2 --epochs 36"),
    "saturated": Case("vanishing generator gradient", "{toys}:duel --no-relative --lr 0.1"),
    "gamma 100": Case("critic too weak", "{toys}:duel --no-relative --gamma 100"),
    "published": Case(
        "adversary that does not matter", "{toys}:rival --adversarial-weight published"
    ),
    "lr 30": Case("non-finite steps", f"{DIGITS} --epochs 16 --lr 30"),
    "stopped": Case("interrupted", "{toys}:stopped"),
    "lr 0.3": Case("images not learned", f"{DIGITS} --epochs 16 --lr 0.3"),
    "one epoch": Case("few steps", f"{DIGITS} --epochs 4"),
    "16 epochs": Case("unfinished training", "{toys}:stopped --at -1"),
    "120 epochs": Case(
        "overfitting", "{toys}:gaussian --latent 16 --data digits:500 --lr 3e-3 --epochs 120"
    ),
    "lr 20 at last": Case("exploding gradients", "{toys}:leaping --lr 20"),
    "clip 1": Case("clipping always bites", "{toys}:gaussian --clip 1"),
    "exponential": Case(
        "KL warm-up unfinished", f"{DIGITS} --epochs 16 --kl-schedule exponential --kl-until 1"
    ),
    "stopped parent": Case(
        "unfinished autoencoder", f"{PRIOR} --epochs 8 --autoencoder {{stopped}}"
    ),
    "swapped parent": Case(
        "latents out of scale", f"{PRIOR} --epochs 8 --autoencoder {{vae}}", swap
    ),
    "unheeded": Case(
        "condition ignored", f"{PRIOR} --epochs 20 --cond label --lr 1e-6 --autoencoder {{vae}}"
    ),
    "guidance 30": Case(
        "learned prior off its latents", f"{PRIOR} --epochs 60 --guidance 30 --autoencoder {{vae}}"
    ),
    "free bits": Case("hole in the prior", f"{DIGITS} --epochs 30 --free-bits 4"),
    "spare latents": Case("unused dimensions", f"{DIGITS} --epochs 60 --lr 5e-3 --latent 32"),
    "beta 49": Case("posterior collapse", f"{DIGITS} --epochs 16 --beta 49"),
    "beta 20": Case("beta too high", f"{DIGITS} --epochs 16 --beta 20"),
    "beta 0.01": Case("beta too low to sample", f"{DIGITS} --epochs 16 --beta 0.01"),
    "squared error": Case("sigma off its residual", "{toys}:gaussian --sigma published"),
}
# in test_coordinate_checks.py, test_sample_checks.py, test_planted.py and test_photo_vae.py
PLANTED_ELSEWHERE = {
    "training did not help",
    *("no better than PCA", "coordinates are correlated", "colours not learned"),
    *("details not described", "condition in the latents"),
    *("neighbouring pixels unrelated", "dead levels", "samples of another colour", "dead codes"),
}
# the defaults, on images and for epochs that seconds allow
HEALTHY = (
    "digits_vae",
    "mnist_mlp_vae --data digits --batch 32 --epochs 60",
    f"{PRIOR} --width 128 --epochs 60 --autoencoder {{vae}}",
    "mnist_conv_vae --data digits --batch 64 --epochs 24",
    "mnist_gan --data digits --average 5_000 --epochs 20",
)


def images(seed, where):
    """Digits with something wrong, as files."""
    digits = (load_digits().images * 255 / 16).astype(np.uint8)
    labels = load_digits().target
    order = np.random.default_rng(seed).permutation(len(digits))
    digits, labels = digits[order], labels[order]
    parts = {"train": slice(1200), "val": slice(1200, 1400), "test": slice(1400, None)}

    def write(name, change):
        arrays = {f"x_{name}": digits[part].copy() for name, part in parts.items()}
        arrays |= {f"y_{name}": labels[part].copy() for name, part in parts.items()}
        change(arrays)
        np.savez(where / f"{name}.npz", **arrays)

    def zeros(a):
        rare = (a["y_train"] != 0).nonzero()[0][100:]
        for key in ("x_train", "y_train"):
            a[key] = np.delete(a[key], rare, 0)

    write("shared", lambda a: a["x_test"].__setitem__(0, a["x_train"][0]))
    write("repeated", lambda a: a["x_train"].__setitem__(slice(200), a["x_train"][200:400]))
    write("blank", lambda a: a["x_train"].__setitem__(slice(40), 255))
    write("inverted", lambda a: a["x_train"].__setitem__(slice(100), 255 - a["x_train"][:100]))

    def darken(a):
        """12 bits stored in 16."""
        for name in parts:
            a[f"x_{name}"] = a[f"x_{name}"].astype(np.uint16) * 16

    write("zeros", zeros)
    write("dark", darken)
    return {path.stem: path for path in where.glob("*.npz")}


@pytest.fixture(autouse=True, scope="module")
def no_pictures():
    """Reports take as long as these trainings; they are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("report.page.write_report", "api.training.save_training_images"):
            patch.setattr(f"latentia.{name}", lambda *_: None)
        yield


def trained(words, seed, run):
    main(["train", *shlex.split(words), "--seed", str(seed), "--threads", "1", "--run", str(run)])
    return run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By seed: the images, and runs that others are built on."""
    made = {}

    def of(seed):
        if seed not in made:
            here = tmp_path_factory.mktemp(f"seed{seed}")
            made[seed] = {
                "toys": TOYS,
                **images(seed, here),
                "vae": trained(VAE, seed, here / "vae"),
                "wide": trained(f"{VAE} --beta 0.01", seed, here / "wide"),
            }
        return made[seed]

    return of


def findings(run, capsys):
    capsys.readouterr()
    assert main(["doctor", str(run), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["findings"]


def kinds(found):
    return [each["kind"] for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_defect_is_named_first_and_its_command_removes_it(case, seed, built, tmp_path, capsys):
    here = dict(built(seed))
    if "{stopped}" in case.words:
        here["stopped"] = trained(f"{TOYS}:stopped", seed, tmp_path / "stopped")
    run = trained(case.words.format(**here), seed, tmp_path / "ill")
    if case.after:
        case.after(run, here)
    found = findings(run, capsys)
    if case.finding == "one class dominates":  # a note, so that problems stand before it
        found = [each for each in found if each["kind"] == case.finding]
    assert case.finding in kinds(found)[:1], [each["text"] for each in found]
    if case.finding in LISTED:
        (command,) = found[0]["suggested_commands"]
        assert command.startswith(f"latentia doctor {run} --table ")
        return
    words = []
    for command in found[0]["suggested_commands"]:
        words = shlex.split(command)
        assert words[0] == "latentia"
        assert main(words[1:]) == 0
    healed = words[words.index("--run") + 1] if "--run" in words else words[-1]
    left = findings(healed, capsys)
    assert case.finding not in kinds(left), [each["text"] for each in left]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("words", HEALTHY)
def test_a_healthy_recipe_gets_no_alarm(words, seed, built, tmp_path, capsys):
    run = trained(words.format(**built(seed)), seed, tmp_path / "run")
    found = findings(run, capsys)
    assert [each["text"] for each in found if each["severity"] != "NOTE"] == []


def test_every_finding_is_planted_here():
    planted = {case.finding for case in CASES.values()} | PLANTED_ELSEWHERE
    assert planted == {check.kind for check in CHECKS}
    assert all(check.evidence and check.advice for check in CHECKS)
