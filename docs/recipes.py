"""Page of recipes, from their docstrings: `python docs/recipes.py` writes it."""

import ast
from pathlib import Path

PAGE = Path(__file__).parent / "reference" / "recipes.md"
HEAD = """# Recipes

`latentia train RECIPE` trains a [recipe](glossary.md#recipe). `latentia train RECIPE --help` shows
the meaning and range of each [parameter](glossary.md#parameter), and the
[options](glossary.md#option) and [modifiers](glossary.md#modifier) of all recipes. Losses are in
[nats](glossary.md#nats) per image. `docs/recipes.py` writes this page from the recipes.
"""


def render_page() -> str:
    from latentia.runs.recipes import RECIPES_FOLDER, list_recipes, read_card

    sections = [HEAD]
    for name in list_recipes():
        card = read_card(name)
        tree = ast.parse((RECIPES_FOLDER / f"{name}.py").read_text())
        function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
        pairs = zip(function.args.args, function.args.defaults, strict=True)
        options = [f"`--{a.arg.replace('_', '-')} {format_default(d)}`" for a, d in pairs]
        details = "\n".join(line.strip() for line in card.details.splitlines())
        sections.append(f"## {name}\n\n{card.summary}\n\n{details}\n".replace("\n\n\n", "\n\n"))
        sections.append(f"Parameters and their defaults: {', '.join(options)}.\n")
    return "\n".join(section.rstrip() + "\n" for section in sections)


def format_default(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


if __name__ == "__main__":
    PAGE.write_text(render_page())
