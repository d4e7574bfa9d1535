"""The structure of the package as its syntax trees show it: imports, bindings and parameters."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentia"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class ImportedFile(NamedTuple):
    """One file of the package imports another; inside: within a function."""

    source: str
    target: str
    inside: bool


def module_name(path: Path) -> str:
    """latentia.core.contract for a file, latentia.core for its __init__.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def read_trees() -> dict[str, ast.Module]:
    return {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def rank_name(module: str) -> str:
    """The top-level package, or file, that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def list_imports(source: str, tree: ast.Module, modules: set[str]) -> Iterator[ImportedFile]:
    """Imports anywhere in a file, by statement or by importlib with a literal name."""
    for node, inside in walk_scopes(tree):
        for name in imported_names(node):
            target = resolve_module(name, modules)
            if target is not None and target != source:
                yield ImportedFile(source, target, inside)


def walk_scopes(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if is_typing:
            continue
        yield child, inside
        yield from walk_scopes(child, inside or isinstance(child, FUNCTIONS))


def imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.Constant):
            yield str(argument.value)
        if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
            yield str(argument.values[0].value).rstrip(".")


def resolve_module(name: str, modules: set[str]) -> str | None:
    """The file that defines a name; a name that an __init__ exports belongs to its own file."""
    if not name.startswith("latentia."):
        return None
    if name in modules:
        return name
    parent, _, last = name.rpartition(".")
    if parent not in modules:
        return None
    for node in read_trees()[parent].body if parent in read_trees() else ():
        if isinstance(node, ast.ImportFrom) and node.module and last in names_of(node):
            return node.module
    return parent


def names_of(node: ast.ImportFrom) -> list[str]:
    return [alias.asname or alias.name for alias in node.names]


def all_imports() -> list[ImportedFile]:
    trees = read_trees()
    return [each for name, tree in trees.items() for each in list_imports(name, tree, set(trees))]


def find_cycle(edges: set[tuple[str, str]]) -> list[str]:
    """Some nodes that reach themselves; empty if there are none."""
    graph: dict[str, set[str]] = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if cycle := visit(target, [*path, node]):
                return cycle
        done.add(node)
        return []

    for node in sorted(graph):
        if cycle := visit(node, []):
            return cycle
    return []
