"""The rules of the house: who may import whom, and what stands where."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentia"
LEVELS = {
    "core": 0,
    **dict.fromkeys(("data", "nets", "losses", "diffusion"), 1),
    "models": 2,
    "engine": 3,
    **dict.fromkeys(("metrics", "latents"), 4),
    **dict.fromkeys(("doctor", "report", "export"), 5),
    "recipes": 6,
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def strangers(folder, path):
    """Rooms that a file of this folder may not import, and does."""
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "latentia" or len(parts) < 2:
            continue
        room = parts[1]
        own_level = LEVELS[folder]
        if room != folder and LEVELS.get(room, 9) >= own_level:
            yield f"{folder}/{path.name} imports {module}"


def test_every_file_imports_only_from_its_own_room_or_from_those_to_its_left():
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name in LEVELS]
    files = [(room.name, file) for room in rooms for file in room.rglob("*.py")]
    assert len(files) > 30
    assert [wrong for room, file in files for wrong in strangers(room, file)] == []


def test_the_rule_would_notice(tmp_path):
    rogue = PACKAGE / "core" / "contract.py"
    assert list(strangers("core", rogue)) == []
    fake = tmp_path / "rogue.py"
    fake.write_text("from latentia.models.vae import VAE")
    assert list(imports(fake)) == ["latentia.models.vae"]
    for room, text, wrong in (
        ("core", "from latentia.models.vae import VAE", True),
        ("nets", "import latentia.losses.likelihoods", True),
        ("nets", "from latentia.nets.mlp import perceptron", False),
        ("models", "from latentia.losses.likelihoods import Bernoulli", False),
        ("engine", "from latentia.api.training import train", True),
    ):
        fake.write_text(text)
        assert bool(list(strangers(room, fake))) == wrong, text


def test_core_knows_torch_numpy_and_jaxtyping_only():
    allowed = {
        "torch",
        "numpy",
        "jaxtyping",
        "latentia",
        "typing",
        "collections",
        "hashlib",
        "math",
        "contextlib",
    }
    found = {m.split(".")[0] for file in (PACKAGE / "core").glob("*.py") for m in imports(file)}
    assert found <= allowed


def test_no_room_is_called_utils_and_no_file_unpickles():
    names = {path.stem for path in PACKAGE.rglob("*")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "manager", "base"}
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert not re.search(r"\bpickle\b|torch\.load|allow_pickle=True", text)


def test_readme_shows_the_tree_as_it_is():
    """Every file of the package, with its own first line; `python docs/tree.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    from tree import lines, readme  # pyright: ignore[reportMissingImports]

    text = (ROOT / "README.md").read_text()
    assert text == readme(text)
    for line in lines(PACKAGE):
        assert re.fullmatch(r" +\S+ +\S.*", line), f"{line} says nothing of itself"
    assert readme(text.replace("contract.py", "treaty.py")) == text


def test_the_table_of_findings_is_that_of_the_checks():
    """`python docs/findings.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    from findings import page  # pyright: ignore[reportMissingImports]

    text = (ROOT / "docs" / "doctor.md").read_text()
    assert text == page(text)
    assert page(text.replace("posterior collapse", "another")) == text


def test_the_page_of_recipes_is_that_of_the_sources():
    """`python docs/recipes.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import recipes  # pyright: ignore[reportMissingImports]

    assert recipes.PAGE.read_text() == recipes.page(), "run python docs/recipes.py"


def test_the_site_is_built_without_a_warning(tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "python" / "index.html").read_text()
    for name in ("latentia.train", "latentia.Run", "latentia.models.vae.VAE", "reconstruct"):
        assert name in page
    pages = [file.read_text() for file in tmp_path.rglob("*.html")]
    assert len(pages) > 15
    assert not any("fonts.googleapis" in page for page in pages)  # no page asks another server


def test_help_and_list_come_without_torch():
    for words, said in (["--help"], "train"), (["recipes"], "mnist_mlp_vae"), (["--version"], "."):
        code = (
            "import sys; from latentia.cli.main import main; "
            f"code = main({words}); assert 'torch' not in sys.modules; sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout


def test_what_is_for_the_end_of_a_run_is_not_imported_before_its_first_step():
    """A sweep's table once brought scikit-learn and torchmetrics to every `latentia train`."""
    slow = "sklearn", "scipy.stats", "torchmetrics", "matplotlib", "torch._dynamo", "datasets"
    code = "import sys, latentia.cli.main, latentia.api.training, latentia.cli.train_actions\n"
    code += f"print([name for name in {slow} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
