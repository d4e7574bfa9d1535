"""The command that describes the environment: libraries, device, precision and threads."""

import json

from latentia.cli.options import Json


def env(json_: Json = False) -> int:
    """Show installed libraries, and the device, precision and threads of a training, with reasons.

    The exit code is 2 if a library that latentia needs is missing or too old.
    """
    # imports importlib.metadata, which takes a fifth of the time of --help
    from latentia.diagnostics import environment

    result = environment.describe_environment()
    if json_:
        groups = result["libraries"].items()
        libraries = {name: [library._asdict() for library in group] for name, group in groups}
        print(json.dumps({**result, "libraries": libraries}, indent=1))
    else:
        print(environment.format_environment(result))
    return 0 if environment.is_complete(result) else 2
