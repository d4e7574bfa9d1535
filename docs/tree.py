"""The README's tree, made of the first line of each file: `python docs/tree.py` writes it anew."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentia"
OTHERS = {
    "page.html": "The page's frame, filled by page.py.",
    "explorer.html": "The explorer's page: what stands where.",
    "explorer.css": "How it looks: light, dark, wide and narrow.",
    "explorer.js": "What it does: asks, draws, says what is missing.",
}
ROOMS = (
    "core", "data", "nets", "losses", "diffusion", "models", "engine", "metrics", "latents",
    "doctor", "report", "export", "recipes", "web",
)  # fmt: skip


def about(path: Path) -> str:
    """What a file says of itself in its first line."""
    if path.suffix != ".py":
        return OTHERS[path.name]
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.splitlines()[0] if text else ""


def lines(folder: Path, depth: int = 1) -> list[str]:
    def row(name: str, said: str) -> str:
        return f"{'  ' * depth}{name:<{26 - 2 * depth}}{said}".rstrip()

    found = []
    rooms = [p for p in folder.iterdir() if (p / "__init__.py").exists()]
    for room in sorted(rooms, key=lambda p: ROOMS.index(p.name) if p.name in ROOMS else 99):
        found.append(row(f"{room.name}/", about(room / "__init__.py")))
        found += lines(room, depth + 1)
    for path in sorted(folder.glob("*.*")):
        if path.suffix in (".py", ".html", ".css", ".js") and path.name != "__init__.py":
            found.append(row(path.name, about(path)))
    return found


def tree() -> str:
    return "\n".join(["src/latentia/", *lines(PACKAGE)])


def readme(text: str) -> str:
    return re.sub(r"(```text\n)src/latentia/.*?(\n```)", rf"\1{tree()}\2", text, flags=re.S)


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text()))
