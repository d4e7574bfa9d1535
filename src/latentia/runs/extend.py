"""Extend a run to more epochs."""

from dataclasses import replace
from numbers import Integral
from typing import Any

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_metadata


def extend_run(run: RunFolder, images: Images, epochs: Any) -> None:
    """Set the number of epochs in all; run.json records where the schedules changed.

    Results that were measured before keep their numbers of epochs in their file's name.

    Raises: Error if the recipe has no epochs, or no more of them than were trained.
    """
    metadata, arguments = run.metadata, run.metadata["arguments"]
    if "epochs" not in arguments:
        raise Error(f"{metadata['recipe']} has no parameter epochs; leave --epochs out.")
    if not isinstance(epochs, Integral) or isinstance(epochs, bool):
        raise Error(f"--epochs is {epochs!r}; it must be a whole number, at least 1.")
    epochs = int(epochs)
    arguments, old_epochs = {**arguments, "epochs": epochs}, arguments["epochs"]
    step = read_metadata(run.state)["step"] if run.state.exists() else 0
    n = len(images.split("train"))
    steps_per_epoch = n // min(run.plan(images).batch, n)
    if epochs < 1 or epochs * steps_per_epoch <= step:
        trained = pluralize(step // steps_per_epoch, "epoch")
        raise Error(f"--epochs is {epochs}; {run.path} has trained {trained}: give more.")
    if epochs == old_epochs:
        return
    extended = [*metadata.get("extended", []), {"from_epochs": old_epochs, "step": step}]
    values = {"arguments": arguments, "extended": extended}
    replace(run, metadata={**metadata, **values}).plan(images)  # before anything is written
    run.update_metadata(values)
    results = run.path / "evaluation.json"
    if results.exists():
        results.rename(results.with_name(f"evaluation-{old_epochs}-epochs.json"))
