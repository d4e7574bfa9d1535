"""The list of recipes, and the description of the environment."""

import json
from types import SimpleNamespace

from latentia.diagnostics import environment


def recipes(args: SimpleNamespace) -> None:
    # `env` also describes an installation without numpy, which this file imports
    from latentia.runs.recipes import list_recipes, read_card

    for name in list_recipes():
        recipe = read_card(name)
        default = f"--data {recipe.default_data}" if recipe.default_data else "--autoencoder RUN"
        print(f"{name}  ({default})\n    {recipe.summary}")
        for line in recipe.details.splitlines():
            print(f"    {line.strip()}".rstrip())
        print()
    print("latentia train RECIPE --help shows a recipe's options; my.py:mine trains your own.")


def env(args: SimpleNamespace) -> int:
    result = environment.describe_environment()
    if args.json_:
        groups = result["libraries"].items()
        libraries = {name: [library._asdict() for library in group] for name, group in groups}
        print(json.dumps({**result, "libraries": libraries}, indent=1))
    else:
        print(environment.format_environment(result))
    return 0 if environment.is_complete(result) else 2
