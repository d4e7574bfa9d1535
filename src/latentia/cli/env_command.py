"""The command that describes the describe_environment."""

import json

from latentia.cli.options import Json


def env(json_: Json = False) -> int:
    """Show installed libraries, and the device, precision and threads of a training, with reasons.

    The exit code is 2 if a library that latentia needs is missing or too old.
    """
    # importlib.metadata, which takes a fifth of the time of --help
    from latentia.diagnostics.environment import (
        describe_environment,
        format_environment,
        is_complete,
    )

    found = describe_environment()
    if json_:
        libraries = {k: [x._asdict() for x in each] for k, each in found["libraries"].items()}
        print(json.dumps({**found, "libraries": libraries}, indent=1))
    else:
        print(format_environment(found))
    return 0 if is_complete(found) else 2
