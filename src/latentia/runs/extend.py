"""Extend a run to more epochs."""

from dataclasses import replace
from typing import Any

from latentia.core.errors import Error
from latentia.core.parameters import require_at_least
from latentia.core.progress import print_note
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_metadata


def extend_run(run: RunFolder, images: Images, epochs: Any) -> None:
    """Set the number of epochs in all; run.json records where the schedules changed.

    Results that were measured before keep their numbers of epochs in their file's name.

    Raises: Error if the recipe has no epochs, or no more of them than were trained.
    """
    metadata, old_epochs = run.metadata, run.metadata["arguments"].get("epochs")
    if old_epochs is None:
        raise Error(f"{metadata['recipe']} has no parameter epochs; leave --epochs out.")
    require_at_least("--epochs", epochs, 1)
    if epochs == old_epochs:  # the same command again, after a kill
        return
    step = read_metadata(run.state).get("step", 0) if run.state.exists() else 0
    values = {
        "arguments": {**metadata["arguments"], "epochs": int(epochs)},
        "extended": [*metadata.get("extended", []), {"from_epochs": old_epochs, "step": step}],
    }
    n = len(images.split("train"))
    batch = replace(run, metadata={**metadata, **values}).plan(images).batch
    steps_per_epoch = n // min(batch, n)
    if epochs * steps_per_epoch <= step:
        trained = pluralize(step // steps_per_epoch, "epoch")
        raise Error(f"--epochs is {epochs}; {run.path} has trained {trained}: give more.")
    if epochs < old_epochs:
        print_note(f"{run.path} was planned for {old_epochs} epochs; it will end after {epochs}.")
    run.update_metadata(values)
    results = run.path / "evaluation.json"
    if results.exists():
        results.replace(results.with_name(f"evaluation-{old_epochs}-epochs.json"))
