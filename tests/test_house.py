"""The pages that are made of the sources, and what a command may import."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentia"


def test_the_page_of_design_shows_the_tree_as_it_is():
    """Every package, with its own first line; `python docs/tree.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import tree  # pyright: ignore[reportMissingImports]

    text = tree.PAGE.read_text()
    assert text == tree.render_page(text)
    for path in PACKAGE.rglob("*.py"):
        assert tree.describe(path), f"{path} says nothing of itself"
    assert tree.render_page(text.replace("sklearn.py", "other.py")) == text


def test_every_test_that_the_page_of_pitfalls_names_is_there():
    page = (ROOT / "dev" / "pitfalls.md").read_text()
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    names = re.findall(r"`(test_\w+)`", page)
    assert len(names) > 40
    assert [n for n in names if not any(f"def {n}(" in text for text in sources)] == []


def test_the_table_of_findings_is_that_of_the_checks():
    """`python docs/findings.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import findings  # pyright: ignore[reportMissingImports]

    text = findings.PAGE.read_text()
    assert text == findings.render_page(text)
    assert findings.render_page(text.replace("posterior collapse", "another")) == text


def test_the_page_of_recipes_is_that_of_the_sources():
    """`python docs/recipes.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import recipes  # pyright: ignore[reportMissingImports]

    assert recipes.PAGE.read_text() == recipes.render_page(), "run python docs/recipes.py"


def test_the_page_of_commands_is_that_of_the_parsers():
    """`python docs/commands.py` writes it."""
    sys.path.insert(0, str(ROOT / "docs"))
    import commands  # pyright: ignore[reportMissingImports]

    assert commands.PAGE.read_text() == commands.render_page(), "run python docs/commands.py"


def test_the_site_is_built_without_a_warning(tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "python" / "index.html").read_text()
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


def test_a_command_imports_no_library_before_it_is_needed():
    """A sweep's table once brought scikit-learn and torchmetrics to every `latentia train`.

    Figures once brought matplotlib to `latentia encode`, which draws none.
    """
    slow = "sklearn", "scipy.stats", "torchmetrics", "matplotlib", "torch._dynamo", "datasets"
    slow += "tifffile", "pillow_heif"
    commands = "train", "encode", "doctor", "evaluate"
    code = "import sys, latentia.cli.main\n"
    for command in commands:
        code += f"import latentia.cli.{command}_actions\n"
        code += f"print({command!r}, [name for name in {slow} if name in sys.modules])\n"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [f"{command} []" for command in commands]
