"""Commands that mend: what a run was trained with, where it differs from the defaults, changed."""

import inspect
import math
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from latentia.core.errors import Error
from latentia.data import cache
from latentia.diagnostics.run_context import Patient
from latentia.runs import modifiers as all_edits
from latentia.runs import recipes
from latentia.runs.build import AUTOENCODER
from latentia.training.plan import Options

READING = ("white", "background", "validation", "seed", "stream")  # how images are read and split


def defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.items()
    return {name: p.default for name, p in parameters if name != "plan"}


def knobs_of(recipe: str) -> dict[str, Any]:
    """A recipe's knobs and their defaults; none if it cannot be found any more."""
    try:
        return defaults(recipes.find_recipe(recipe))
    except Error:
        return {}


def has(patient: Patient, knob: str) -> bool:
    return knob in knobs_of(patient.run.metadata["recipe"])


def train(patient: Patient, suffix: str, *, edits: Any = None, **changed: Any) -> list[str]:
    """The run's own command with these knobs or options changed, into a folder of its own.

    edits: edits to add or change, by name. [] if the recipe lacks a knob that is to be changed.
    """
    about = patient.run.metadata
    recipe, options = about["recipe"], asdict(Options())
    knobs = knobs_of(recipe)
    if not knobs or changed.keys() - knobs.keys() - options.keys():
        return []
    given = {**about["arguments"], **{k: v for k, v in changed.items() if k in knobs}}
    foreign = str(given.get(AUTOENCODER)).startswith(f"{recipes.DIFFUSERS}:")  # brings no images
    if AUTOENCODER in given and "data" not in changed and not foreign and own_images(patient):
        given.pop("data")  # the autoencoder's own
    usual = {k: v for k, v in knobs.items() if k not in changed}  # what mends is said
    flags = _flags(given, usual)
    wanted = {**about["options"], **{k: v for k, v in changed.items() if k in options}}
    flags += _flags(wanted, {**options, **_as_found_here()})
    for name, chosen in {**about["modifiers"], **(edits or {})}.items():
        own = {**about["modifiers"].get(name, {}), **chosen}
        usual = {
            **defaults(all_edits.find_modifier(name)),
            name: object(),
        }  # its flag is what makes it
        flags += _flags(own, usual)
    return _command(patient, recipe, flags, suffix)


def own_images(patient: Patient) -> bool:
    """Whether a prior was trained on the images where its autoencoder says they are."""
    if patient.parent is None:
        return True
    ours, theirs = (run.metadata["images"]["source"] for run in (patient.run, patient.parent))
    return ours == theirs


def restored(patient: Patient, *knobs: str) -> list[str]:
    """Those of these knobs that are twice or half the recipe's own, or further, back to it."""
    usual, now = knobs_of(patient.run.metadata["recipe"]), patient.knobs
    known = [k for k in knobs if k in usual and k in now]  # an older run may lack one
    changed = {k: usual[k] for k in known if not alike(now[k], usual[k])}
    said = "-".join(f"{k}{v:g}" for k, v in changed.items())
    return train(patient, said, **changed) if changed else []


def alike(a: float | None, b: float | None) -> bool:
    """Equal, or less than twice each other."""
    return a == b or bool(a and b and b / 2 < a < b * 2)


def slower(patient: Patient) -> list[str]:
    """At the recipe's own learning rate, or at a tenth of the run's."""
    usual = knobs_of(patient.run.metadata["recipe"]).get("lr")
    if usual is None or patient.knobs["lr"] >= 2 * usual:
        return restored(patient, "lr")
    new = fewer_digits(patient.knobs["lr"] / 10)
    return train(patient, f"lr{new:g}", lr=new)


def longer(patient: Patient, steps: int, least: float = 3) -> list[str]:
    """At least so many steps, and `least` times the epochs."""
    epochs = patient.knobs.get("epochs", 0)
    more = math.ceil(max(least * epochs, epochs * steps / max(1, patient.total)))
    return train(patient, f"epochs{more}", epochs=more) if epochs else []


def choice(patient: Patient, purpose: str) -> list[str]:
    """Of a run that has learned many betas: the one for a purpose."""
    run = patient.run
    return [words("latentia", "choose", str(run.path), "--for", purpose)] if run.beta_range else []


def other(patient: Patient, recipe: str, suffix: str, **knobs: Any) -> list[str]:
    """Another recipe on the same images, read in the same way."""
    flags = _flags({"data": patient.knobs["data"], **knobs}, knobs_of(recipe))
    usual = asdict(Options())
    read = {name: patient.run.metadata["options"].get(name, usual[name]) for name in READING}
    return _command(patient, recipe, flags + _flags(read, usual), suffix)


def prior(patient: Patient, steps: int) -> list[str]:
    """A learned prior over this run's latents, for at least so many steps."""
    n, batch = patient.run.metadata["images"]["count"]["train"], 512
    if n < 16 * batch:  # so few batches an epoch that smaller ones teach more
        batch = 128
    an_epoch = max(1, n // min(n, batch))
    epochs = max(30, -(-steps // an_epoch))
    given = {AUTOENCODER: str(patient.run.path), "batch": batch, "epochs": epochs}
    return _command(patient, "latent_prior", _flags(given, knobs_of("latent_prior")), "prior")


def resume(path: str | Path) -> list[str]:
    return [words("latentia", "resume", str(path))]


def words(*given: str) -> str:
    return shlex.join(given)


def _command(patient: Patient, recipe: str, flags: list[str], suffix: str) -> list[str]:
    path = patient.run.path
    if path.is_relative_to(cache.root()):  # a run of the hub: what mends it is the user's own
        path = Path(path.name)
    run = ["--run", str(free(Path(f"{path}-{suffix}")))]
    return [words("latentia", "train", recipe, *flags, *run)]


def free(path: Path) -> Path:
    """The path, or, where it exists, the first numbered one that does not."""
    found, number = path, 2
    while found.exists():
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    return found


def _as_found_here() -> dict[str, Any]:
    """What `auto` means, which run.json holds in its place."""
    from latentia.training.device import find_device, find_precision

    bf16 = find_precision("auto", find_device("auto")) == torch.bfloat16
    return {"precision": "bf16" if bf16 else "fp32", "threads": torch.get_num_threads()}


def _flags(values: dict[str, Any], usual: dict[str, Any]) -> list[str]:
    """Those that are not as usual."""
    flags = []
    for name, value in values.items():
        if name in usual and value == usual[name]:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            said = f"{value:.10g}" if isinstance(value, float) else str(value)
            flags += [f"--{flag}", said]
    return flags


def fewer_digits(value: float) -> float:
    """As a person would type it."""
    return float(f"{value:.2g}")
