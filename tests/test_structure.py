"""The rules of the package: who may import whom, how large files are, how names are made."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import latentia
from structure import (
    PACKAGE,
    ImportedFile,
    all_imports,
    find_cycle,
    list_bindings,
    list_imports,
    list_local_imports,
    package_name,
    read_trees,
)

RANKS = {
    "core": 0,
    **dict.fromkeys(("data", "nets", "losses", "diffusion"), 1),
    "models": 2,
    "training": 3,
    **dict.fromkeys(("modifiers", "recipes"), 4),
    "runs": 5,
    **dict.fromkeys(("metrics", "latents"), 6),
    **dict.fromkeys(("diagnostics", "report", "export", "tracking"), 7),
    **dict.fromkeys(("api", "fitting", "sweep", "sklearn"), 8),
    "explorer": 9,
    "cli": 10,
}
SIBLINGS = {("metrics", "latents"), ("tracking", "report"), ("fitting", "api"), ("sweep", "api")}
SIBLINGS |= {("sklearn", "api")}
ABOVE_ALL = {"__init__", "__main__"}  # the lazy public names, and `python -m latentia`
MAX_LOCAL_IMPORTS, MAX_LINES, MAX_PARAMETERS = 30, 300, 7
PARTICIPLES = {
    *("told", "said", "asked", "found", "given", "wanted", "shown", "known", "drawn", "made"),
    *("taught", "judged", "called", "named", "kept", "brought", "heard", "lit", "owed", "paid"),
    *("seen", "noted", "begun"),
}
RIDDLES = {
    *("at", "of", "by", "own", "apart", "alone", "together", "like", "along", "wide", "expect"),
    *("legible", "room", "sweep", "place", "put", "lay", "able", "turn"),
}
COMMAND_NAMES = {"sweep"}  # `latentia sweep`: a command's function has the command's name
VAGUE_FILES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
VERBS = {
    *("train", "resume", "load", "open", "list", "make", "encode", "traverse", "interpolate"),
    *("attribute", "associate", "find", "choose", "fit"),
}
DECORATORS = {"recipe", "modifier", "metric", "data_source", "likelihood", "sampler"}
MATHEMATICS = {"elbo", "nll", "prdc", "frechet_distance"}


def find_upward_imports(imports: list[ImportedFile]) -> list[ImportedFile]:
    wrong = []
    for each in imports:
        source, target = package_name(each.source), package_name(each.target)
        if source in ABOVE_ALL or source == target or (source, target) in SIBLINGS:
            continue
        if RANKS[target] >= RANKS[source]:
            wrong.append(each)
    return wrong


def test_every_file_imports_only_from_its_own_package_or_from_lower_ones():
    imports = all_imports()
    assert len(imports) > 800
    assert {package_name(name) for name in read_trees()} - ABOVE_ALL == RANKS.keys()
    assert find_upward_imports(imports) == []


@pytest.mark.parametrize(
    ("source", "text", "is_wrong"),
    [
        ("core.fake", "from latentia.models.vae import VAE", True),
        ("nets.fake", "import latentia.losses.likelihoods", True),
        ("nets.fake", "from latentia.nets.mlp import MLPEncoder", False),
        ("models.fake", "from latentia.losses.likelihoods import Bernoulli", False),
        ("training.fake", "def f():\n    from latentia.runs.folder import RunFolder", True),
        ("training.fake", "import_module('latentia.runs.folder')", True),
        ("training.fake", "importlib.import_module(f'latentia.recipes.{name}')", True),
        ("report.fake", "import latentia.tracking", True),
        ("tracking.fake", "from latentia.report.grids import save", False),
    ],
)
def test_the_rule_would_notice(source, text, is_wrong):
    imports = list_imports(f"latentia.{source}", ast.parse(text), {*read_trees()})
    assert bool(find_upward_imports([*imports])) == is_wrong


def test_neither_files_nor_packages_import_each_other_in_a_cycle():
    edges = {(e.source, e.target) for e in all_imports() if package_name(e.source) not in ABOVE_ALL}
    assert find_cycle(edges) == []
    packages = {(package_name(source), package_name(target)) for source, target in edges}
    assert find_cycle({(source, target) for source, target in packages if source != target}) == []
    assert find_cycle({("a", "b"), ("b", "c"), ("c", "b")}) == ["b", "c"]


def test_few_own_modules_are_imported_inside_functions():
    local = {name: list_local_imports(tree) for name, tree in read_trees().items()}
    local.pop("latentia")  # the lazy public names
    assert 0 < sum(map(len, local.values())) <= MAX_LOCAL_IMPORTS
    text = "def f():\n    from latentia.cli import main\n    import_module('latentia.core')\n"
    assert len(list_local_imports(ast.parse(text))) == 2


def test_no_file_has_over_300_lines_and_base_names_are_unique_within_a_package():
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert [p.name for p in files if len(p.read_text().splitlines()) > MAX_LINES] == []
    names = Counter((path.relative_to(PACKAGE).parts[0], path.name) for path in files)
    assert [name for name, count in names.items() if count > 1] == []
    assert not {path.stem for path in files} & VAGUE_FILES


def find_banned_names(tree: ast.Module) -> list[str]:
    names = [name for name, _ in list_bindings(tree) if name.strip("_") in PARTICIPLES]
    functions = [name for name, is_function in list_bindings(tree) if is_function]
    return names + [n for n in functions if n.strip("_") in RIDDLES - COMMAND_NAMES]


def test_no_name_is_a_bare_participle_and_no_function_a_riddle():
    banned = {name: find_banned_names(tree) for name, tree in read_trees().items()}
    assert {name: names for name, names in banned.items() if names} == {}
    text = "class A:\n    given: int\ndef at(told, *, kept=1):\n    x.found = [k for said in k]\n"
    assert find_banned_names(ast.parse(text)) == ["given", "told", "kept", "found", "said", "at"]


def test_functions_have_few_parameters():
    """Recipes, modifiers and commands are not bound: their parameters are a user's options."""
    exempt = {"recipes", "modifiers", "cli", "sklearn"}
    long = [
        f"{name}.{node.name}"
        for name, tree in read_trees().items()
        if package_name(name) not in exempt
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and count_parameters(node) > MAX_PARAMETERS
    ]
    assert long == []


def count_parameters(node: ast.FunctionDef) -> int:
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_exported_functions_are_verbs():
    functions = {name for name in latentia.__all__ if name[0].islower()}
    nouns = {name for name in functions if name.split("_")[0] not in VERBS}
    assert nouns == DECORATORS | MATHEMATICS


def test_core_knows_torch_numpy_and_jaxtyping_only():
    allowed = {"torch", "numpy", "jaxtyping", "latentia", "annotated_types", "typing_extensions"}
    standard = {"typing", "types", "collections", "contextlib", "contextvars", "dataclasses"}
    standard |= {"difflib", "enum", "functools", "hashlib", "inspect", "math"}
    standard |= {"errno", "getpass", "json", "operator", "platform", "shutil", "traceback"}
    standard |= {"importlib", "os", "pathlib", "re", "stat", "sys", "time", "shlex"}
    standard |= {"ctypes", "fcntl", "subprocess"}  # of one system each, inside a function
    modules = {
        name.split(".")[0]
        for path in (PACKAGE / "core").glob("*.py")
        for name in imported_modules(path)
    }
    # rich draws the bar of core/progress.py, and IPython, which a notebook has, its line; filelock
    # holds the locks of core/locks.py
    assert modules <= allowed | standard | {"rich", "IPython", "filelock"}


def imported_modules(path: Path) -> list[str]:
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return names + [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]


def test_no_file_unpickles():
    """A package's own weights are the exception: their digest is checked, and no object is made."""
    texts = {path.name: path.read_text() for path in PACKAGE.rglob("*.py")}
    pretrained = texts["pretrained_features.py"]
    texts["pretrained_features.py"] = pretrained.replace("torch.load(path, weights_only=True)", "")
    assert len(pretrained) > len(texts["pretrained_features.py"])
    assert not re.search(r"\bpickle\b|torch\.load|allow_pickle=True", "\n".join(texts.values()))
