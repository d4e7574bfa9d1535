"""Tree of packages of docs/explanation/design.md, from docstrings: `python docs/tree.py`."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "latentia"
PAGE = Path(__file__).parent / "explanation" / "design.md"
ORDER = (  # of imports: a package imports those before it
    "core", "data", "nets", "losses", "diffusion", "models", "training", "modifiers", "recipes",
    "runs", "metrics", "latents", "diagnostics", "report", "export", "api", "sweep", "explorer",
    "cli",
)  # fmt: skip


def describe(path: Path) -> str:
    """The first line of a file's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def list_packages(folder: Path) -> list[Path]:
    packages = [path for path in folder.iterdir() if (path / "__init__.py").exists()]
    return sorted(packages, key=lambda p: (ORDER.index(p.name) if p.name in ORDER else 99, p.name))


def format_row(depth: int, name: str, description: str) -> str:
    return f"{'  ' * depth}{name:<{22 - 2 * depth}} {description}".rstrip()


def list_rows(folder: Path, depth: int = 1) -> list[str]:
    """One row for each package below a folder, and for each file of the folder at the top."""
    rows = []
    for package in list_packages(folder):
        rows.append(format_row(depth, f"{package.name}/", describe(package / "__init__.py")))
        rows += list_rows(package, depth + 1)
    if depth == 1:
        files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        rows += [format_row(depth, path.name, describe(path)) for path in files]
    return rows


def render_page(text: str) -> str:
    tree = "\n".join(["src/latentia/", *list_rows(PACKAGE)])
    block = f"<!-- packages -->\n```text\n{tree}\n```\n<!-- /packages -->"
    return re.sub("<!-- packages -->.*?<!-- /packages -->", lambda _: block, text, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text()))
