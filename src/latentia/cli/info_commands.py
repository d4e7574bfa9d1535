"""Options of the commands that need no run: recipes, env."""

from latentia.cli import options


def recipes() -> None:
    """List the recipes: what each reproduces, its default data, expected results."""


def env(json_: options.Json = False) -> None:
    """Show installed libraries, and the device, precision and threads of a training, with reasons.

    The exit code is 2 if a library that latentia needs is missing or too old.
    """
