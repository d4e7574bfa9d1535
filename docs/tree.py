"""Trees of docs/explanation/design.md, from first docstring lines: `python docs/tree.py`."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "latentia"
PAGE = Path(__file__).parent / "explanation" / "design.md"
SUFFIXES = (".py", ".html", ".css", ".js", ".md")
DESCRIPTIONS = {  # of files without a docstring
    "page.html": "Template of the report, filled by page.py.",
    "model_card.md": "Template of the model card, filled by model_card.py.",
    "readme.md": "Template of the README.md of an ONNX export, filled by readme.py.",
    "explorer.html": "Structure of the explorer's page.",
    "explorer.css": "Styles of the explorer: light, dark, wide and narrow.",
    "explorer.js": "Behaviour of the explorer: requests, drawing and messages.",
}
ORDER = (  # of imports: a package imports those before it
    "core", "data", "nets", "losses", "diffusion", "models", "training", "modifiers", "recipes",
    "runs", "metrics", "latents", "diagnostics", "report", "export", "api", "sweep", "explorer",
    "cli",
)  # fmt: skip


def describe(path: Path) -> str:
    """The first line of a file's docstring."""
    if path.suffix != ".py":
        return DESCRIPTIONS[path.name]
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def list_packages(folder: Path) -> list[Path]:
    packages = [path for path in folder.iterdir() if (path / "__init__.py").exists()]
    return sorted(packages, key=lambda p: (ORDER.index(p.name) if p.name in ORDER else 99, p.name))


def list_files(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix in SUFFIXES]
    return sorted(path for path in files if path.name != "__init__.py")


def format_row(depth: int, name: str, description: str) -> str:
    return f"{'  ' * depth}{name:<{32 - 2 * depth}} {description}".rstrip()


def list_rows(folder: Path, files: bool = True, depth: int = 1) -> list[str]:
    """One row for each package below a folder, and for each file."""
    rows = []
    for package in list_packages(folder):
        rows.append(format_row(depth, f"{package.name}/", describe(package / "__init__.py")))
        rows += list_rows(package, files, depth + 1)
    if files or depth == 1:
        rows += [format_row(depth, path.name, describe(path)) for path in list_files(folder)]
    return rows


def render_page(text: str) -> str:
    for mark, files in ("packages", False), ("files", True):
        tree = "\n".join(["src/latentia/", *list_rows(PACKAGE, files)])
        block = f"<!-- {mark} -->\n```text\n{tree}\n```\n<!-- /{mark} -->"
        text = re.sub(f"<!-- {mark} -->.*?<!-- /{mark} -->", lambda _, b=block: b, text, flags=re.S)
    return text


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text()))
