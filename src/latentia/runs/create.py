"""Create a run folder."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.core.files import make_file_name
from latentia.core.folders import PART, fill_folder
from latentia.core.parameters import validate_parameters
from latentia.core.text import join_command
from latentia.data.dataset import COLOUR_NOTE
from latentia.data.reading import Reading
from latentia.runs import build
from latentia.runs.autoencoder_source import check_data_options, find_autoencoder
from latentia.runs.folder import RunFolder, find_unused_path, resolve_unnamed_path
from latentia.runs.metadata import FORMAT
from latentia.runs.open import open_run
from latentia.runs.provenance import describe_machine
from latentia.runs.recipe_files import parse_recipe_file
from latentia.runs.recipes import recipe_source, resolve_parameters, to_python_numbers
from latentia.training.checkpoint import copy_file
from latentia.training.device import find_device
from latentia.training.plan import Options, Plan
from latentia.training.state import find_mismatch
from latentia.training.validation import find_tracked_image

FIT_FILE = "fit.json"  # of `latentia fit`, in its run folder: the stages, and their commands
FIT_PREFIX = "fit."  # of that file and its lock, which are older than the run


def create_run(
    recipe: str,
    user_parameters: dict[str, Any],
    modifiers: Mapping[str, Mapping[str, Any]],
    options: Options,
    path: Path | str | None = None,
    check: Callable[[Plan], None] = lambda plan: None,
) -> tuple[RunFolder, Plan]:
    """Create a run folder with its run.json; returns it with the plan to train.

    check: raises an Error for a plan that the caller cannot use, before anything is written.

    Raises: Error if the folder holds files or cannot be written, or a parameter is not allowed.
    """
    options = replace(options, **resolve_options(options))
    init_run = None if options.init is None else open_run(options.init)
    if init_run:
        options = replace(options, init=str(init_run.path.resolve()))
    modifiers = {name: to_python_numbers(values) for name, values in modifiers.items()}
    validate_parameters("latentia.train", Options, vars(options))
    arguments = resolve_parameters(recipe, user_parameters)
    device = find_device(options.device)  # before images are decoded, which may take hours
    parent = find_autoencoder(recipe, arguments, options)
    if parent:
        check_data_options(parent, options)
    plan = build.build_plan(recipe, arguments, modifiers, options, parent)
    check(plan)
    plan.rank_batch_size()
    if options.balance is not None:
        plan.images.get_class_names(options.balance)
    build.check_training_memory(recipe, arguments, plan, device)
    find_tracked_image(plan, options)
    resolved = build.resolve_auto_options(options, plan.model)
    images = plan.images.to_metadata()  # before the folder exists: bad data leave nothing behind
    file = parse_recipe_file(recipe)
    notes = [*plan.images.notes, *plan.notes]
    if plan.images.loses_colour and arguments.get("channels") is not None:  # the user's choice
        notes.remove(COLOUR_NOTE)
    metadata = {
        "format": FORMAT,
        "recipe": f"{file.path}:{file.function_name}" if file else recipe,
        "arguments": {**arguments, "data": images["source"]},
        "modifiers": {k: build.make_paths_absolute(v) for k, v in modifiers.items()},
        "options": asdict(resolved),
        "auto_options": [k for k, v in vars(resolved).items() if v != getattr(options, k)],
        "images": images,
        "notes": notes,
        "parameters": {
            name: sum(p.numel() for p in player.module.parameters())
            for name, player in plan.model.players().items()
        },
        "machine": describe_machine(),
        "source": recipe_source(recipe),
    }
    if init_run:
        metadata["init"] = describe_initial_weights(init_run, plan.model)
    path = find_new_folder(recipe, path)
    with fill_folder(path, "give a folder of your own with --run") as part:
        run = RunFolder(part, metadata)
        if init_run:
            copy_file(init_run.weights, run.initial_weights)
        if parent:
            parent.copy_model(part / build.AUTOENCODER)
        # of a creation that was killed
        shutil.rmtree(path / build.AUTOENCODER, ignore_errors=True)
        replace(run, path=path).initial_weights.unlink(missing_ok=True)
        run.update_metadata(metadata)  # last: a folder with run.json is a whole run
    if file:
        file.record()
    return replace(run, path=path), plan


def describe_initial_weights(source: RunFolder, model: Model) -> dict[str, str]:
    """Return path and digest of a run's weights, for run.json.

    Raises: Error if the model has other tensors.
    """
    if mismatch := find_mismatch(model, source.load_tensors()):
        raise Error(
            f"--init {source.path} does not fit this training: it {mismatch}; the recipe, size and "
            "channels of the images, and the parameters and modifiers of its networks must agree."
        )
    digest = hashlib.sha256(source.weights.read_bytes()).hexdigest()
    return {"run": str(source.path.resolve()), "sha256": digest}


def resolve_options(options: Options) -> dict[str, Any]:
    """Return all options with numbers of Python and absolute paths, as run.json holds them."""
    options = replace(options, **to_python_numbers(vars(options)))
    values = {**vars(options)}
    for name in ("track", "exclude", "labels"):
        file = Path(str(values[name])).expanduser()
        if file.is_file() and not file.name.isdecimal():  # a number is a row
            values[name] = str(file.resolve())
    return values | {"missing": Reading.from_options(options).missing}


def find_new_folder(recipe: str, path: Path | str | None) -> Path:
    """Return the path of a new run; without a path, runs/RECIPE or runs/RECIPE-2.

    Raises: Error if it is a file, or holds files other than those of a creation that was killed.
    """
    if path is None:
        path = find_unused_path(Path("runs") / make_file_name(recipe.split(":")[-1]))
    if not isinstance(path, str | Path):
        raise Error(f"run is {path!r}; give a new folder, such as run='runs/a'.")
    path = resolve_unnamed_path(path)
    names = [each.name for each in path.iterdir()] if path.is_dir() else [""] * path.exists()
    names = [name for name in names if not name.startswith(FIT_PREFIX)]
    is_unfinished = "run.json" not in names and any(name.startswith(PART) for name in names)
    if names and not is_unfinished:
        resume = f"`latentia resume {join_command([path])}` goes on with it, or "
        hint = resume if "run.json" in names else ""
        raise Error(f"{path} exists; {hint}give another --run.")
    return path
