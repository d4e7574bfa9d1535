"""Linux, macOS and Windows: each, played on Linux, goes the way of a user with the same bytes."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import systems
from cli.toys import TRAIN
from latentia.cli.main import main
from latentia.data import open_images
from latentia.explorer.server import open_listener
from latentia.export.hub import strip_folders
from latentia.runs.recipes import split_recipe_name
from latentia.training.checkpoint import read_json, write_json
from mistakes import error
from structure import read_trees

# worker processes are those of a launcher, which starts each anew
POSIX_NAMES = {"fork", "forkpty", "multiprocessing", "SIGALRM", "SIGKILL", "SIGUSR1", "symlink_to"}
POSIX_NAMES |= {"statvfs", "getuid", "uname", "ttyname", "tzset", "getrusage", "chown", "killpg"}
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the other systems are not played")
WORDS = [*TRAIN, "--epochs", "4", "--save-every", "2", "--precision", "fp32"]
LETTERS = "größe ≥ 3"  # of which cp1252 lacks one


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 images in two classes, whose names are not of ASCII."""
    folder = tmp_path_factory.mktemp("systems") / "photos"
    draw = np.random.default_rng(0)
    for k in range(24):
        path = folder / (LETTERS if k % 2 else "klein") / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 10), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def whole(photos):
    """A run of this system that nothing interrupts."""
    words = ["train", "mnist_mlp_vae", "--data", str(photos), *WORDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentia.report.page.write_report", lambda *_: None)
        assert main([*words, "--run", str(photos.parent / "whole")]) == 0
    return photos.parent / "whole"


def latentia(*words):
    code = main([*map(str, words)])
    assert code == 0


def explore(run):
    from starlette.testclient import TestClient

    from latentia.explorer.routes import create_application
    from latentia.explorer.session import RunSession
    from latentia.explorer.worker import Worker

    worker = Worker()
    session = RunSession.open(str(run), None, "all", worker)
    session.load_latents()
    client = TestClient(create_application([session], worker), base_url="http://127.0.0.1:8000")
    runs = client.get("/api/runs").json()["runs"]
    assert runs[0]["columns"]["label"] == [LETTERS, "klein"]
    assert client.post("/api/sample", json={"n": 2}).status_code == 200


@pytest.mark.report
@linux_only
@pytest.mark.parametrize("system", ["macos", "windows"])
def test_each_system_goes_the_whole_way(system, photos, whole, tmp_path, monkeypatch, capfd):
    """Train, kill, resume, extend, sample, encode, report, explore and sweep."""
    run, cache = tmp_path / LETTERS, tmp_path / "cache"
    monkeypatch.setenv("LATENTIA_CACHE", str(cache))
    train = ["train", "mnist_mlp_vae", "--data", str(photos), *WORDS]
    encoding = "cp1252" if system == "windows" else "utf-8"
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    killed = subprocess.run(
        [sys.executable, systems.__file__, system, *train, "--run", str(run)],
        env=environment, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == 9, killed.stderr.decode()
    assert len((run / "log.jsonl").read_bytes()) < len((whole / "log.jsonl").read_bytes())
    assert len(list((cache / "images").glob("*/about.json"))) == 1
    systems.full_syncs.clear()
    with systems.play_system(system):
        latentia("resume", run)
        for name in ("weights.safetensors", "log.jsonl"):
            assert (run / name).read_bytes() == (whole / name).read_bytes()
        latentia("sample", run, "-n", 4, "--out", tmp_path / "s.png")
        latentia("sample", run, "-n", 4, "--out", f"{tmp_path}/folder/")
        for suffix in ("csv", "npz", "tsv", "parquet"):
            latentia("encode", run, "--out", tmp_path / f"z.{suffix}")
        assert "\r" not in (tmp_path / "z.csv").read_bytes().decode()
        latentia("evaluate", run, "--json")
        latentia("doctor", run, "--table", tmp_path / "t.csv")
        assert "\r" not in (tmp_path / "t.csv").read_bytes().decode()
        latentia("report", run)
        explore(run)
        latentia("resume", run, "--epochs", 5)
        monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
        over = ["--over", "beta=1,2", "--trials", "2", "--out", tmp_path / "sweep"]
        latentia("sweep", *train[1:], *over)
    assert bool(systems.full_syncs) == (system == "macos")
    assert (run / "evaluation-4-epochs.json").exists()
    assert LETTERS in (tmp_path / "z.csv").read_text("utf-8")
    names = [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".tmp")]
    assert names == []


@pytest.mark.parametrize(
    "folder", [r"C:\Users\Ada L\photos", r"\\server\share\photos", "/gone/photos"]
)
def test_a_run_of_another_system_is_read_here(folder, photos, whole, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    metadata = read_json(run / "run.json")
    metadata["images"]["source"] = metadata["arguments"]["data"] = folder
    write_json(run / "run.json", metadata)
    latentia("sample", run, "-n", 2, "--out", tmp_path / "s.png")
    message = error(capsys, "evaluate", run)
    assert f"({folder}) cannot be found here; give them with --data." in message
    latentia("evaluate", run, "--data", photos)
    assert strip_folders(metadata)["images"]["source"] == "photos"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("my.py:mine", ("my.py", "mine")),
        (r"C:\Ada\my.py:mine", (r"C:\Ada\my.py", "mine")),
        (r"C:\Ada\my.py", (r"C:\Ada\my.py", "")),
        ("conv_vae", ("conv_vae", "")),
    ],
)
def test_the_file_of_a_recipe_may_lie_on_a_drive(name, parts):
    assert split_recipe_name(name) == parts


@pytest.mark.parametrize("name", ["{}/00.png", "{}\\00.png", "KLEIN/00.PNG", ".\\klein\\00.png"])
def test_an_image_is_found_by_its_key_as_each_system_writes_it(name, photos):
    split = open_images(str(photos)).split("all")
    assert split.index_of(name.format("klein")) == split.keys.index("klein/00.png")


def test_no_other_server_takes_the_port_on_windows(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        listener = open_listener("127.0.0.1", [0])
    with listener:
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def find_plain_texts(tree):
    """Lines that open text in the encoding of the system."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        words = {word.arg for word in call.keywords}
        texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
        modes = [each for each in texts if re.fullmatch(r"[rwaxbt+]{1,3}", str(each))]
        is_file = bool(modes) or isinstance(call.func, ast.Name) or not (call.args or words)
        is_process = name in ("run", "Popen", "check_output")
        is_plain = {
            "read_text": not call.args,
            "write_text": len(call.args) == 1,
            "open": is_file and not any("b" in mode for mode in modes),
        }.get(name, is_process and bool({"text", "universal_newlines"} & words))
        if is_plain and "encoding" not in words:
            yield call.lineno


def find_posix_names(tree):
    """Names that Windows lacks: modules that a file imports at its start, functions, signals.

    A name in quotes is one that the file looks for first.
    """
    modules = {
        each.name for node in tree.body if isinstance(node, ast.Import) for each in node.names
    }
    modules |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    checked = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
    }  # by hasattr
    return modules & (systems.POSIX_MODULES | POSIX_NAMES) | (names - checked) & POSIX_NAMES


def test_every_file_of_the_package_could_run_on_every_system():
    trees = read_trees()
    plain = {name: [*find_plain_texts(tree)] for name, tree in trees.items()}
    assert {name: lines for name, lines in plain.items() if lines} == {}
    names = {name: find_posix_names(tree) for name, tree in trees.items()}
    assert {name: each for name, each in names.items() if each} == {}
    text = "import fcntl\nopen(p)\np.open('w')\np.read_text()\np.write_text(x)\nos.fork()\n"
    text += "open(p, 'rb')\np.open('w', encoding='utf-8')\np.read_text('utf-8')\nImage.open(p)\n"
    assert [*find_plain_texts(ast.parse(text))] == [2, 3, 4, 5]
    assert find_posix_names(ast.parse(text)) == {"fcntl", "fork"}
