"""Command lines that are wrong in one or two places, drawn from the parsers by a seed."""

import random
from pathlib import Path
from typing import Literal, get_args, get_origin

from latentia.cli.arguments import list_parameters, read_hints
from latentia.cli.main import COMMANDS
from latentia.core.parameters import list_types
from latentia.runs.modifiers import load_modifiers
from latentia.runs.recipes import find_recipe, list_recipes
from latentia.training.plan import Options

SEED = 20261128  # of the published 300
NUMBERS = (
    "0", "-1", "1", "3", "0.5", "1.5", "-0.0", "1e-30", "1e30", "100000000", "100000000000",
    "9223372036854775808", "1" + "0" * 400, "nan", "inf", "-inf", "0x10", "1_000", "1,5", "²",
)  # fmt: skip
WORDS = (
    "", " ", "None", "x", "nonsense", "ä" * 300, "a,b", ",", "3,5", "0", "-1", "..", "/", "\\",
    "%s", "a=b", "=", ":", "a:b", "log:0:1", "[", "(?P<", "(((", "a\x1bb", "top:0", "top:-1",
    "top:99999999999", "nan", "1e999", "--", "\udcff",
)  # fmt: skip
PATHS = (
    "nowhere", "nowhere/", "user", "user/photos", "user/photos/00.png", "user/table.csv",
    "user/empty", "user/empty.csv", "user/toy.npy", "user/run", "user/prior", "user/broken.png",
    "user/broken.npz", "user/run/run.json", "user/pipe", "user/unreadable", "user/unreadable.csv",
    "hub:", "hub:nobody/nothing", "digits:0", "digits:-5", "digits:x", "vehicles:999999999999",
    "diffusers:user", "x.exe", "x.png", "x.gif", "x.csv", "user/photos/new.png/x.png", "/dev/null",
    "/proc/self/mem", "user/loop",
)  # fmt: skip
TOY = {"mnist_mlp_vae": ["--hidden", "8"], "image_autoencoder": ["--width", "4"]}
TRAIN = ["--data", "user/toy.npy", "--epochs", "1", "--batch", "16"]
ADVERSARIAL = ("vaegan", "image_autoencoder")


def draw_commands(count: int, seed: int = SEED) -> list[list[str]]:
    rng = random.Random(seed)
    return [draw_command(rng) for _ in range(count)]


def draw_command(rng: random.Random) -> list[str]:
    """A valid command of one of the parsers, and one to three changes that make it doubtful."""
    name = rng.choice([*COMMANDS, "train", "train", "train"])
    if name in ("train", "sweep"):
        words, owners = draw_training(rng, name)
    else:
        words, owners = [name, *make_arguments(name)], [COMMANDS[name]]
    hints = {key: hint for owner in owners for key, hint in read_hints(owner).items()}
    positional = ("run", "image", "images", "runs", "name", "other", "recipe")
    names = [key for owner in owners for key in list_parameters(owner)] or ["x"]
    names = [key for key in names if key not in positional] or names
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        words = change(words, rng, names, hints)
    return words


def draw_training(rng: random.Random, name: str) -> tuple[list[str], list]:
    recipe = rng.choice([each for each in list_recipes() if each != "speckle_ldm"])
    words = [name, recipe, *TRAIN, *TOY.get(recipe, [])]
    words += ["--size", "16"] if recipe in ADVERSARIAL else []
    words += ["--autoencoder", "user/run", "--width", "8"] if recipe == "latent_prior" else []
    words += ["--out", "new", "--trials", "1"] if name == "sweep" else ["--run", "new"]
    own = [COMMANDS["sweep"]] if name == "sweep" else []
    return words, [find_recipe(recipe), Options, *load_modifiers().values(), *own]


def make_arguments(name: str) -> list[str]:
    needs = {
        "recipes": [], "env": [], "explore": ["user/run"], "push": ["user/run", "me/name"],
        "choose": ["user/many", "--for", "reconstruction"], "traverse": ["user/run", "0"],
        "attribute": ["user/run", "0"], "nearest": ["user/run", "0"],
        "interpolate": ["user/run", "0", "1"], "compare": ["user/run", "user/run"],
        "decode": ["user/run", "--latents=0,0,0"], "resume": ["user/run"],
    }  # fmt: skip
    return needs.get(name, ["user/run"])


def change(words: list[str], rng: random.Random, names: list[str], hints: dict) -> list[str]:
    """Change one word, leave one out, or add an option with a doubtful value."""
    kind = rng.random()
    if kind < 0.05 and len(words) > 1:
        left_out = rng.randrange(1, len(words))
        return [word for k, word in enumerate(words) if k != left_out]
    if kind < 0.15 and len(words) > 1:
        k = rng.randrange(1, len(words))
        return [*words[:k], rng.choice([*WORDS, *PATHS, *NUMBERS]), *words[k + 1 :]]
    if kind < 0.18:
        return [*words, rng.choice([*WORDS, *PATHS])]
    if kind < 0.21:
        return [*words, f"--{rng.choice(['nonsense', 'latnet', 'Beta', 'n', '', 'help-me'])}"]
    name = rng.choice(names)
    kinds = list_types(hints.get(name, str))
    if bool in kinds:
        values = ["", "yes", "True"]
    elif int in kinds or float in kinds:
        values = NUMBERS if rng.random() < 0.85 else WORDS
    elif get_origin(kinds[0]) is Literal:
        values = rng.choice([[*map(str, get_args(kinds[0]))], WORDS])
    else:
        values = rng.choice([WORDS, PATHS, NUMBERS])
    flag = f"--{name.rstrip('_').replace('_', '-')}"
    value = rng.choice(values)
    forms = [[f"{flag}={value}"], [flag, value], [flag]]
    return [*words, *rng.choices(forms, [5, 4, 1])[0]]


def digest_files(folder: Path) -> dict[str, object]:
    """Size, time of change and content of every file, by its path."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            files[str(path)] = path.read_bytes() if path.stat().st_mode & 0o400 else None
    return files
