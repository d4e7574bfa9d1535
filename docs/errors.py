"""The page of errors, made of the sources: `python docs/errors.py` writes it anew."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentia"
PAGE = ROOT / "docs" / "errors.md"
HEAD = """# Errors

Every mistake that a user can put right is one sentence on the terminal: what is wrong, what was
given, what is allowed and what to do; the exit code is 2, and nothing that was there is lost. From
Python it is `latentia.Error`. All of them, by the file that raises them; words in *italics* are
filled in. `docs/errors.py` makes this page of the sources.
"""


def said(node: ast.expr) -> str | None:
    """The text of an expression, its parts that are filled in as *names*; None: it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("*", "\\*").replace("<", "&lt;")
    if isinstance(node, ast.JoinedStr):
        parts = [said(v) if isinstance(v, ast.Constant) else gap(v) for v in node.values]
        return "".join(part or "" for part in parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = said(node.left), said(node.right)
        return "".join(part or "..." for part in both) if any(both) else None
    return None


def gap(node: ast.expr) -> str:
    """*name*; of counted(n, "image"): *n* images."""
    assert isinstance(node, ast.FormattedValue)
    match node.value:
        case ast.Call(func=ast.Name(id="counted"), args=[number, ast.Constant(value=noun)]):
            return f"*{filled(ast.FormattedValue(number, -1))}* {noun}s"
    return f"*{filled(node)}*"


def filled(node: ast.FormattedValue) -> str:
    """What stands in a text's gap, in a word or two."""
    names = [n.attr if isinstance(n, ast.Attribute) else n.id for n in ast.walk(node.value)
             if isinstance(n, ast.Attribute | ast.Name)]  # fmt: skip
    words = [
        n
        for n in names
        if n not in ("self", "join", "len", "repr", "str", "sorted", "map", "shlex", "quote")
    ]
    return (words[0] if words else "...").replace("_", " ").strip()


def errors(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            text = said(node.args[0]) if node.func.id == "Error" else None
            if text and len(text) > 8:
                found.append(re.sub(r"\s+", " ", text).strip())
    return list(dict.fromkeys(found))


def page() -> str:
    parts = [HEAD]
    for path in sorted(PACKAGE.rglob("*.py")):
        if rows := errors(path):
            first = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
            name = path.relative_to(PACKAGE)
            parts.append(f"## {name}\n\n{first}\n\n" + "\n".join(f"- {row}" for row in rows))
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
