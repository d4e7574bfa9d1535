"""Training of new and interrupted runs, behind the commands of train_command.py."""

import os
import sys

from latentia.api.training import go_on, start
from latentia.cli.terminal import print_completion, show_training
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core import distributed
from latentia.runs.provenance import list_differences
from latentia.training.device import keep_memory
from latentia.training.launch import together


def train_recipe(recipe: str, words: list[str]) -> int:
    given = parse_train_arguments(recipe, words)
    if given.profile:  # its library says that it starts and stops, as what is graver than an error
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with together():
        run, events = start(
            recipe,
            given.parameters,
            edits=given.modifiers,
            options=given.options,
            run=given.run,
            profile=given.profile,
        )
        keep_memory()
        return show_training(run, events)


def resume_run(path: str, data: str | None) -> int:
    with together():
        run, events = go_on(path, data)
        keep_memory()
        if distributed.rank() == 0:
            print_completion(run)
            for line in list_differences(run.metadata):
                print(f"Not as when this run began, so bits may differ: {line}.", file=sys.stderr)
        return show_training(run, events)
