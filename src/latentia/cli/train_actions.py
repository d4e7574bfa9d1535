"""Training of new runs, and of interrupted runs."""

import os
import sys
from types import SimpleNamespace

from latentia.api.training import resume_run, start_run
from latentia.cli.terminal import print_completion, show_training
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core import distributed
from latentia.diagnostics.command_text import format_command
from latentia.runs.provenance import list_differences
from latentia.training.device import keep_freed_memory
from latentia.training.launch import init_distributed


def train_recipe(recipe: str, words: list[str]) -> int:
    arguments = parse_train_arguments(recipe, words)
    if arguments.profile:  # otherwise its library logs its start and stop above the level of errors
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with init_distributed():
        if arguments.minutes is not None:
            keep_freed_memory()  # the measured steps are as fast as those of the training
        run, events = start_run(recipe, **arguments._asdict())
        if arguments.minutes is not None:
            words = replace_minutes(words, run.metadata["arguments"]["epochs"])
            print(format_command("latentia", "train", recipe, *words), flush=True)
        keep_freed_memory()
        return show_training(run, events)


def replace_minutes(words: list[str], epochs: int) -> list[str]:
    """Return the words of an equal training, with --epochs in the place of --minutes."""
    position = next(k for k, word in enumerate(words) if word.partition("=")[0] == "--minutes")
    end = position + (1 if "=" in words[position] else 2)
    return [*words[:position], "--epochs", str(epochs), *words[end:]]


def resume(args: SimpleNamespace) -> int:
    with init_distributed():
        run, events = resume_run(args.run, args.data, epochs=args.epochs)
        keep_freed_memory()
        if distributed.rank() == 0:
            if args.epochs is None:
                print_completion(run)
            for line in list_differences(run.metadata):
                print(f"Not as when this run began, so bits may differ: {line}.", file=sys.stderr)
        return show_training(run, events)
