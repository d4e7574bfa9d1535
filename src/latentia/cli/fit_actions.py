"""From images to coordinates, samples and a report in the minutes given."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

from latentia.cli.arguments import list_option_names
from latentia.cli.terminal import show_training
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core.errors import Error
from latentia.diagnostics.command_text import format_command
from latentia.fitting.fit import make_request
from latentia.fitting.rules import FIRST_RECIPE
from latentia.fitting.stages import Fit
from latentia.training.device import keep_freed_memory


def fit(args: SimpleNamespace, rest: list[str], words: list[str]) -> int:
    """Fit images; `rest` are the words of latentia train photo_vae, `words` all words."""
    if "data" in list_option_names(rest) or (rest and not rest[0].startswith("-")):
        raise Error(
            f"latentia fit takes one source of images; give {args.folder} alone, without --data, "
            "or one folder that holds all images."
        )
    arguments = parse_train_arguments(FIRST_RECIPE, rest)
    condition = arguments.modifiers.get("cond", {})
    if others := arguments.modifiers.keys() - {"cond"}:
        option = min(others).replace("_", "-")
        raise Error(
            f"latentia fit takes no --{option}; leave it out, or train a recipe that has it: "
            "`latentia train conv_vae --help` lists its options."
        )
    names = {word.removeprefix("--").partition("=")[0].replace("-", "_") for word in rest}
    chosen = {name: v for name, v in arguments.parameters.items() if name in names}
    request = make_request(
        args.folder,
        args.minutes,
        args.run,
        {"features": args.features, **chosen, **condition},
        replace(arguments.options, labels=args.labels),
    )
    keep_freed_memory()
    train = partial(show_training, is_stage=True)
    code = Fit(request, train, partial(print, flush=True)).run()
    if code:
        command = format_command("latentia", "fit", *words)
        print(f"Stopped; run the same command to continue: {command}")
    return code
