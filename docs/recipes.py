"""The page of recipes, made of their docstrings: `python docs/recipes.py` writes it anew."""

import ast
from pathlib import Path

PAGE = Path(__file__).parent / "recipes.md"
HEAD = """# Recipes

What can be trained: `latentia train RECIPE`; `latentia train RECIPE --help` has each knob with its
meaning and range, and the flags that all recipes take. `docs/recipes.py` makes this page of the
recipes themselves.
"""


def page() -> str:
    from latentia.runs.recipes import RECIPES_FOLDER, list_recipes, read_card

    parts = [HEAD]
    for name in list_recipes():
        found = read_card(name)
        tree = ast.parse((RECIPES_FOLDER / f"{name}.py").read_text())
        function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
        arguments = function.args
        pairs = zip(arguments.args, arguments.defaults, strict=True)
        knobs = [f"`--{a.arg.replace('_', '-')} {ast.unparse(d).strip(chr(39))}`" for a, d in pairs]
        about = "\n".join(line.strip() for line in found.details.splitlines())
        parts.append(f"## {name}\n\n{found.summary}\n\n{about}\n".replace("\n\n\n", "\n\n"))
        parts.append(f"Knobs and their defaults: {', '.join(knobs)}.\n")
    return "\n".join(part.rstrip() + "\n" for part in parts)


if __name__ == "__main__":
    PAGE.write_text(page())
