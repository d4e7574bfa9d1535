"""Functions that return a run: train, resume, load."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from latentia.api.run import Run
from latentia.api.training import Modifiers, finish_training, resume_run, start_run
from latentia.core.errors import Error
from latentia.core.progress import enable_progress, print_note
from latentia.data.sources.registry import LabelledData
from latentia.runs.modifiers import take_modifiers
from latentia.runs.open import open_run
from latentia.runs.recipes import get_recipe, register_recipe, resolve_parameters
from latentia.training.launch import init_distributed
from latentia.training.plan import Options


def train(
    recipe: str | Callable,
    data: Any = None,
    *,
    labels: Any = None,
    run: str | Path | None = None,
    modifiers: Modifiers | None = None,
    options: Options | None = None,
    progress: bool = True,
    **parameters: Any,
) -> Run:
    """Train a recipe, and return its run.

    Training writes a run folder with weights, log, findings and a report. It runs on all processes
    that `torchrun` has started.

    Parameters
    ----------
    recipe : str or callable
        name of a recipe, such as "conv_vae", or "my.py:mine" for a function in a file;
        `latentia.list_recipes()` names all. Or the function itself, such as one of a notebook,
        which must be defined again (with `@latentia.recipe`) to open the run in another session
    data : optional
        folder, file or data set, as on the command line, or an array or tensor of images
        (n, h, w), (n, c, h, w) or (n, h, w, c): integers, or floats in [0, 1]; or any object with
        a length and items, such as a data set of torch or of the hub: each item is an image
        (tensor, array, Pillow image or path), a tuple (image, label), or a dict with an image; or
        a list, column or DataFrame of paths, whose other columns are labels. The default is that
        of the recipe
    labels : str, Path, list, array, Series or DataFrame, optional
        labels of all images in their order, or a table (.csv, .parquet or of pandas) joined to the
        images by file name. The column of a list or an array is called label. Text becomes classes
    run : str or Path, optional
        new folder of the run; by default runs/ and the recipe's name
    modifiers : dict, optional
        arguments of each modifier by its name, such as {"free_bits": {"free_bits": 0.1}}; each may
        also be given by its own name, such as `free_bits=0.1`
    options : Options, optional
        seed, device, precision and the other options of every training; each may also be given by
        its own name, such as `seed=1`
    progress : bool
        whether stderr shows the progress with the remaining time, the findings and the path of the
        report: as a bar on a terminal, as a line that is rewritten in a notebook, elsewhere as
        lines. Nothing is written to stdout
    **parameters
        the recipe's own parameters, such as `latent`, `beta` or `epochs`;
        `help(latentia.find_recipe(NAME))` shows them. In place of `epochs`, `minutes` is the time
        of the whole call: latentia measures some steps, and computes how many epochs fit

    Returns
    -------
    Run
        the complete run. Its `model` is in evaluation mode: images are (b, c, h, w) in [0, 1], loss
        terms are nats per image

    Raises
    ------
    Error
        if a parameter, the data or the folder is not usable, or training did not finish
    KeyboardInterrupt
        if Ctrl-C or the kernel's interrupt stopped the training, after it was saved

    Examples
    --------
    >>> import latentia
    >>> run = latentia.train("mnist_mlp_vae", "digits:200", epochs=1, run="runs/digits")
    >>> run.sample(4).shape
    torch.Size([4, 1, 28, 28])
    """
    check_keywords(modifiers, options)
    names = {field.name for field in fields(Options)} & parameters.keys()
    if parameters.get("init") is not None:  # a Run has a path
        parameters["init"] = str(getattr(parameters["init"], "path", parameters["init"]))
    if isinstance(labels, str | Path):
        parameters, labels = {**parameters, "labels": str(labels)}, None
        names.add("labels")
    options = replace(options or Options(), **{name: parameters.pop(name) for name in names})
    own_parameters = inspect.signature(get_recipe(register_recipe(recipe))).parameters
    modifiers = {**(modifiers or {}), **take_modifiers(parameters, own_parameters)}
    if labels is not None and data is None:
        data = resolve_parameters(register_recipe(recipe), {})["data"]
    own_data = add_labels(data, labels)
    parameters |= {} if own_data is None else {"data": own_data}
    keywords: Any = {"modifiers": modifiers, "options": options, "run": run}
    keywords["minutes"] = minutes = parameters.pop("minutes", None)
    with init_distributed(), enable_progress(progress):
        folder, events = start_run(recipe, parameters, **keywords)
        if minutes is not None:
            print_note(
                f"minutes={minutes:g} gives epochs={folder.metadata['arguments']['epochs']}."
            )
        finish_training(folder, events, progress)
    # run.json has addresses
    return Run(folder, add_labels(None if isinstance(data, str | Path) else data, labels))


def add_labels(data: Any, labels: Any) -> Any:
    return data if labels is None else LabelledData(data, labels)


def check_keywords(modifiers: Any, options: Any) -> None:
    """Raises: Error if modifiers or options are of other types than `train` takes."""
    values = modifiers.values() if isinstance(modifiers, Mapping) else [modifiers]
    if modifiers is not None and not all(isinstance(each, Mapping) for each in values):
        raise Error(
            f"modifiers is {modifiers!r}; it must be a dict of the arguments of each modifier, "
            'such as {"free_bits": {"free_bits": 0.1}}, or leave it out and give free_bits=0.1.'
        )
    if not isinstance(options, Options | None):
        raise Error(
            f"options is {options!r}; it must be latentia.Options(seed=1), or leave it out and "
            "give seed=1."
        )


def resume(
    run: str | Path,
    data: Any = None,
    *,
    labels: Any = None,
    epochs: int | None = None,
    progress: bool = True,
    trust_recipe: bool = False,
) -> Run:
    """Resume an interrupted training, or extend a training, and return its run.

    The resumed run equals an uninterrupted one, bit for bit. A complete run is trained further only
    with `epochs`: weights and optimizers go on, and every schedule (learning rate, weight of the
    rate) jumps to where it would be at this step in a run of so many epochs.

    Parameters
    ----------
    run : str or Path
        folder of the run
    data : optional
        the run's images, if it was trained on an object in memory, or their new address, if they
        have moved
    labels : optional
        the run's labels, if they were in memory, as in `train`
    epochs : int, optional
        number of epochs in all, more than were trained; the default is the run's own
    progress : bool
        whether stderr shows the progress, as in `train`
    trust_recipe : bool
        whether a recipe file that the run names is executed, as in `load`

    Returns
    -------
    Run
        the complete run

    Raises
    ------
    Error
        if the folder is not a run, its images are missing or have changed, `epochs` is no larger
        number than was trained, or training did not finish
    KeyboardInterrupt
        if Ctrl-C or the kernel's interrupt stopped the training, after it was saved

    Examples
    --------
    >>> import latentia
    >>> latentia.resume("runs/digits").is_complete
    True
    """
    with init_distributed(), enable_progress(progress):
        open_run(run, trust_recipe)
        folder, events = resume_run(run, add_labels(data, labels), epochs=epochs)
        finish_training(folder, events, progress)
    return Run(folder, add_labels(data, labels))


def load(
    run: str | Path, data: Any = None, *, labels: Any = None, trust_recipe: bool = False
) -> Run:
    """Open a run, on any machine.

    Its model samples and encodes new images without the run's data. What reads the run's own images
    finds them where they were, or in `data`.

    Parameters
    ----------
    run : str or Path
        folder of the run, or "hub:OWNER/NAME"
    data : optional
        the run's images if they have moved or were an array in memory, or other images, as in
        `Run.with_data`
    labels : optional
        the run's labels, if they were in memory, or those of other images, as in `train`
    trust_recipe : bool
        whether a recipe file (my.py:mine) that the run names is executed. Otherwise it is executed
        only if it lies in no run folder, and you have trained with the same file on this machine

    Returns
    -------
    Run
        the run

    Raises
    ------
    Error
        if the folder is not a run

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> images = run.sample(2, seed=1)
    >>> run.model.encode(images).mean.shape
    torch.Size([2, 20])
    """
    return Run(open_run(run, trust_recipe), add_labels(data, labels))
