"""The structure of the package as its syntax trees show it: imports and bindings."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "src" / "latentia"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
IMPORTS = ast.Import | ast.ImportFrom | ast.Call


class ImportedFile(NamedTuple):
    source: str
    target: str


@cache
def read_trees() -> dict[str, ast.Module]:
    return {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def module_name(path: Path) -> str:
    """latentia.core.contract for a file, latentia.core for its __init__.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_name(module: str) -> str:
    """The top-level package, or file, that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def all_imports() -> list[ImportedFile]:
    trees = read_trees()
    return [e for name, tree in trees.items() for e in list_imports(name, tree, {*trees})]


def list_imports(source: str, tree: ast.Module, modules: set[str]) -> Iterator[ImportedFile]:
    """Imports anywhere in a file, by statement or by importlib with a literal name."""
    for node in walk_code(tree):
        for name in imported_names(node):
            target = resolve_module(name, modules)
            if target not in (None, source):
                yield ImportedFile(source, target)


def list_local_imports(tree: ast.Module) -> list[ast.AST]:
    """Imports of our own modules inside functions; a statement counts once."""
    nodes = {
        id(node): node
        for function in walk_code(tree)
        if isinstance(function, FUNCTIONS)
        for node in walk_code(function)
        if any(name.split(".")[0] == "latentia" for name in imported_names(node))
    }
    return [*nodes.values()]


def walk_code(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from walk_code(child)


def imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.JoinedStr):
            argument = argument.values[0]
        if isinstance(argument, ast.Constant):
            yield str(argument.value).rstrip(".")


def resolve_module(name: str, modules: set[str]) -> str | None:
    """The file that defines a name; a name that an __init__ exports belongs to its own file."""
    if not name.startswith("latentia."):
        return None
    if name in modules:
        return name
    parent, _, last = name.rpartition(".")
    for node in read_trees()[parent].body if parent in read_trees() else ():
        if isinstance(node, ast.ImportFrom) and any(alias.name == last for alias in node.names):
            return node.module if str(node.module).startswith("latentia.") else parent
    return parent if parent in modules else None


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

    return next((cycle for node in sorted(graph) if (cycle := visit(node, []))), [])


def list_bindings(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Every name that a file binds, and whether it is a function's or a class's."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, True
            case ast.arg():
                yield node.arg, False
            case ast.Name(ctx=ast.Store()):
                yield node.id, False
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, False
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name, False
