"""The rules of the house: who may import whom, and what stands where."""

import ast
import re
import subprocess
import sys
import time
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
            yield f"{path.relative_to(PACKAGE)} imports {module}"


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
    assert [m for m in imports(fake)] == ["latentia.models.vae"]


def test_core_knows_torch_and_jaxtyping_only():
    allowed = {"torch", "jaxtyping", "latentia", "typing", "collections", "hashlib", "math"}
    found = {m.split(".")[0] for file in (PACKAGE / "core").glob("*.py") for m in imports(file)}
    assert found <= allowed


def test_no_room_is_called_utils_and_no_file_unpickles():
    names = {path.stem for path in PACKAGE.rglob("*")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "manager", "base"}
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert not re.search(r"\bpickle\b|torch\.load|allow_pickle=True", text)


def test_readme_shows_the_tree_as_it_is():
    """Every file of the package stands in the README's tree, once, with a comment."""
    text = (ROOT / "README.md").read_text()
    tree = text.split("```text\n")[1].split("```")[0]
    shown, folder = set(), ""
    for line in tree.splitlines()[1:]:
        name, comment = re.fullmatch(r" *(\S+) +(\S.*)", line).groups()  # pyright: ignore
        indent = len(line) - len(line.lstrip())
        assert comment, line
        if name.endswith("/"):
            folder = (folder.rsplit("/", 2)[0] + "/" if indent > 4 else "") + name
            shown.add(name)
        else:
            shown.add(name if indent == 2 else folder + name)
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.*")
        if "__pycache__" not in path.parts and path.name not in ("__init__.py", "py.typed")
    }
    files = {name for name in shown if not name.endswith("/")}
    assert files == found


def test_help_and_list_come_without_torch():
    for words in (["--help"], ["recipes"]):
        code = (
            "import sys; from latentia.cli import main; "
            f"code = main({words}); assert 'torch' not in sys.modules; sys.exit(code)"
        )
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "mnist_mlp_vae" in done.stdout or "train" in done.stdout
        assert time.monotonic() - started < 60
