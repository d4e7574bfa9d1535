"""Nothing in a run is executed: a recipe file runs where a person named it, or trained with it.

A canary is a recipe file that leaves a mark when it is executed.
"""

import inspect
import json
import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from toys import TRAIN

import latentia
from latentia.cli.main import COMMANDS, main
from latentia.core.errors import Error
from latentia.core.plugins import FILE_PREFIX
from latentia.runs import recipe_files
from latentia.runs.recipe_files import parse_recipe_file
from latentia.training.checkpoint import read_json, write_json

GOLDEN = Path(__file__).parents[1] / "golden" / "run-format-1"
CODE = """
from pathlib import Path
Path({mark!r}).write_text("executed")
from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae as mine
recipe = other = mine
"""
# the words of each command that opens a run, after the run
WORDS = {
    "resume": [],
    "sample": ["-n", "1"],
    "reconstruct": ["-n", "2"],
    "evaluate": ["--metrics", "elbo"],
    "choose": ["--for", "sampling"],
    "doctor": [],
    "report": [],
    "encode": ["--out", "z.csv"],
    "relate": ["--permutations", "9"],
    "traverse": ["0"],
    "interpolate": ["0", "1"],
    "nearest": ["0"],
    "outliers": ["-n", "2"],
    "decode": ["--latents=0,0,0"],
    "attribute": ["0"],
    "map": ["photo.png", "--column", "mu_0"],
    "compare": ["good"],
    "explore": [],
    "export": [],
    "push": ["me/name"],
    "project": ["0", "--steps", "1"],
    "complete": ["0", "--mask", "mask.npy", "--steps", "1"],
}
OTHERS = [  # commands that open a run as the value of an option
    ["train", "latent_prior", "--autoencoder", "run", "--run", "prior", "--epochs", "1"],
    ["train", "mnist_mlp_vae", "--init", "run", "--data", "good.npy", "--run", "new", *TRAIN],
    ["compare", "good", "run"],
    ["explore", "good", "run"],
    ["choose", "sweep", "--for", "sampling"],
]
GOES_ON = {"doctor"}  # what it can say without the recipe


@pytest.fixture
def folder(place, tmp_path, monkeypatch):
    """A working folder with a good run, a run to spoil, and a canary; nothing is trusted yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "cache"))
    forget(monkeypatch)
    shutil.copytree(place / "run", "good")
    shutil.copytree(place / "run", "run")
    shutil.copyfile(place / "toy.npy", "good.npy")
    shutil.copyfile(place / "photos/00.png", "photo.png")
    (tmp_path / "home").mkdir()
    Path("code.py").write_text(CODE.format(mark=str(tmp_path / "mark")), encoding="utf-8")
    yield tmp_path
    forget(monkeypatch)


def forget(monkeypatch):
    """Begin a session anew: no file is loaded or trusted."""
    monkeypatch.setattr(recipe_files, "_trusted_files", set())
    for name in [name for name in sys.modules if name.startswith(FILE_PREFIX)]:
        del sys.modules[name]


def name_recipe(recipe, run="run"):
    """Name a recipe in run.json, with the checksum that the file then has."""
    file = Path(run) / "run.json"
    write_json(file, {**read_json(file), "recipe": recipe})


def was_executed(folder):
    mark = folder / "mark"
    if not mark.exists():
        return False
    mark.unlink()
    return True


def list_names(folder):
    """Every way by which run.json could name a file."""
    run = folder / "run"
    shutil.copyfile("code.py", run / "code.py")
    shutil.copyfile("code.py", run / "CODE.PY")
    shutil.copyfile("code.py", "mine.py")
    shutil.copyfile("code.py", run / "mine.py")
    (run / "pkg").mkdir()
    (run / "pkg" / "__init__.py").touch()
    shutil.copyfile("code.py", run / "pkg" / "mod.py")
    shutil.copytree(run / "pkg", "pkg")
    shutil.copyfile("code.py", folder / "home" / "code.py")
    (run / "link.py").symlink_to(run / "code.py")
    (run / "out.py").symlink_to(folder / "code.py")
    Path("into.py").symlink_to(run / "code.py")
    Path("folder").symlink_to(run)
    py_compile.compile("code.py", str(run / "code.pyc"))
    with zipfile.ZipFile(run / "zip.zip", "w") as archive:
        archive.write("code.py")
    files = [
        *("run/code.py", "code.py", "./code.py", "run/../run/code.py", "run/pkg/../../code.py"),
        *(f"{run}/code.py", f"{folder}/code.py", f"{run}/pkg/mod.py", "~/code.py", "run/CODE.PY"),
        *("run/link.py", "run/out.py", "into.py", "folder/code.py", f"file://{run}/code.py"),
        *("run/code.pyc", "run/zip.zip/code.py", "run/zip.zip", f"{run}/code.py:mine:x", "~"),
        "~nobody-has-this-name/code.py",
    ]
    modules = ["mine", "code", "pkg", "pkg.mod", "run.code", "run.pkg.mod", ".code", "..code"]
    return [*(f"{file}:mine" for file in files), *modules, *(f"{m}:recipe" for m in modules)]


def list_commands():
    for name, words in WORDS.items():
        yield [name, "run", *words]
    yield from OTHERS


def test_every_command_that_opens_a_run_is_tested():
    """A new command cannot be forgotten: its signature shows that it takes a run."""
    parameters = {name: inspect.signature(each).parameters for name, each in COMMANDS.items()}
    opened = {name for name, each in parameters.items() if {"run", "runs"} & {*each}}
    assert opened - {"fit"} == {*WORDS}  # fit makes a run


@pytest.mark.parametrize("words", [*list_commands()], ids=" ".join)
def test_no_command_executes_what_a_run_names(words, folder, capsys):
    check_names(words, list_names(folder)[: 1 + (words[0] not in GOES_ON)], folder, capsys)


@pytest.mark.parametrize("words", [["sample", "run"], ["resume", "run"]], ids=" ".join)
def test_no_name_of_a_file_or_module_is_executed(words, folder, capsys, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    before = {*sys.modules}
    check_names(words, list_names(folder), folder, capsys)
    assert not {name for name in sys.modules.keys() - before if "mine" in name or "pkg" in name}


def check_names(words, names, folder, capsys):
    Path("sweep/000").parent.mkdir()
    settings = {"recipe": "mnist_mlp_vae", "words": [], "over": ["beta=1,2"], "trials": 2}
    write_json(Path("sweep/sweep.json"), settings)
    if words[0] == "map":  # which reads no other run
        content = read_json(Path("run/run.json"))
        content["images"]["reading"]["tiles"] = 28
        write_json(Path("run/run.json"), content)
    for name in names:
        name_recipe(name)
        if words[1] == "sweep":
            shutil.copytree("run", "sweep/000", dirs_exist_ok=True)
        code = main(words)
        out, err = capsys.readouterr()
        assert not was_executed(folder), name
        assert "Traceback" not in out + err, name
        if words[0] in GOES_ON:
            assert code == 0
            assert "is not executed" in out, name
        elif "--init" not in words:  # only its weights are read
            assert code == 2, name
            assert err.count("\n") == 1, err


def test_a_refusal_says_which_file_why_and_what_to_do(folder, capsys):
    shutil.copyfile("code.py", "run/code.py")
    for name, reason in [
        ("run/code.py:mine", f"lies in the run folder {folder}/run"),
        ("code.py:mine", "is none with which you have trained on this machine, or was changed"),
    ]:
        name_recipe(name)
        assert main(["sample", "run"]) == 2
        text = capsys.readouterr().err
        assert text.startswith(f"run needs its recipe. The recipe file {folder}/{name[:-5]} ")
        assert reason in text
        assert "--trust-recipe" in text
        assert "trust_recipe=True" in text
        assert "latentia train my.py:mine" in text


def train(folder, *words):
    data = ["--data", "good.npy", "--run", "known", *TRAIN]
    assert main(["train", f"{folder}/code.py:mine", *data, *words]) == 0
    assert was_executed(folder)


def test_a_file_with_which_the_user_trained_is_known(folder, capsys, monkeypatch):
    train(folder)
    for words in (["sample", "known", "-n", "1"], ["resume", "known"], ["doctor", "known"]):
        forget(monkeypatch)
        assert main(words) == 0
        assert was_executed(folder)
        assert "Not checked" not in capsys.readouterr().out
    Path("moved.py").write_bytes(Path("code.py").read_bytes())
    name_recipe("moved.py:mine")
    assert main(["sample", "run", "-n", "1"]) == 0
    assert was_executed(folder)


@pytest.mark.parametrize("change", ["byte", "copy", "link", "other run", "function", "compiled"])
def test_a_known_file_is_refused_if_it_is_another(change, folder, capsys, monkeypatch):
    train(folder)
    forget(monkeypatch)
    name, source = f"{folder}/code.py:mine", Path("code.py").read_bytes()
    if change == "byte":
        Path("code.py").write_bytes(source + b"\n")
    elif change == "copy":
        shutil.copyfile("code.py", "run/code.py")
        name = f"{folder}/run/code.py:mine"
    elif change == "link":
        shutil.copyfile("code.py", "run/code.py")
        Path("into.py").symlink_to(folder / "run" / "code.py")
        name = f"{folder}/into.py:mine"
    elif change == "other run":
        shutil.copyfile("code.py", "good/code.py")
        name = f"{folder}/good/code.py:mine"
    elif change == "function":
        name = f"{folder}/code.py:other"
    else:  # Python would take a compiled copy, whatever its source is
        Path("evil.py").write_text(CODE.format(mark=str(folder / "evil")), encoding="utf-8")
        target = Path("__pycache__") / f"code.{sys.implementation.cache_tag}.pyc"
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile("evil.py", str(target), f"{folder}/code.py", invalidation_mode=mode)
    name_recipe(name)
    assert main(["sample", "run", "-n", "1"]) == (0 if change == "compiled" else 2)
    assert not (folder / "evil").exists()
    assert was_executed(folder) == (change == "compiled")


def test_the_option_trusts_the_recipe_of_a_run(folder, capsys, monkeypatch):
    shutil.copyfile("code.py", "run/code.py")
    name_recipe("run/code.py:mine")
    assert main(["sample", "run", "-n", "1", "--trust-recipe"]) == 0
    assert was_executed(folder)
    forget(monkeypatch)
    assert main(["sample", "run", "-n", "1"]) == 2  # it holds for one command
    with pytest.raises(Error, match="is not executed"):
        latentia.load("run").model  # noqa: B018
    assert not was_executed(folder)
    latentia.load("run", trust_recipe=True).model  # noqa: B018
    assert was_executed(folder)
    forget(monkeypatch)
    assert latentia.resume("run", trust_recipe=True, progress=False).is_complete
    assert was_executed(folder)


def test_the_recipe_of_the_autoencoder_in_a_run_is_asked_for_too(folder, capsys, monkeypatch):
    shutil.copytree(GOLDEN / "prior", "prior")
    shutil.copyfile("code.py", "prior/code.py")
    old = read_json(Path("prior/autoencoder/run.json"))["recipe"]
    code = (
        Path("prior/code.py").read_text(encoding="utf-8")
        + f"from latentia.recipes.{old} import {old} as mine\n"
    )
    Path("prior/code.py").write_text(code, encoding="utf-8")
    name_recipe(f"{folder}/prior/code.py:mine", "prior/autoencoder")
    for words in (["sample", "prior"], ["sample", "prior/autoencoder"]):
        assert main([*words, "-n", "1", "--steps", "2"][: 4 if "/" in words[1] else 6]) == 2
        assert not was_executed(folder)
        assert "lies in the run folder" in capsys.readouterr().err
    assert main(["sample", "prior", "-n", "1", "--steps", "2", "--trust-recipe"]) == 0
    assert was_executed(folder)


@pytest.mark.parametrize("content", ["[", "3", "[]", '{"a": 3}', '{"a": [3, null]}', "\x00"])
def test_a_damaged_record_knows_nothing(content, folder, monkeypatch):
    train(folder)
    forget(monkeypatch)
    (record,) = (folder / "cache").glob("recipes-*.json")
    record.write_text(content)
    assert main(["sample", "known", "-n", "1"]) == 2
    assert not was_executed(folder)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no owners of files")
def test_a_record_that_others_can_write_knows_nothing(folder, monkeypatch):
    train(folder)
    forget(monkeypatch)
    (record,) = (folder / "cache").glob("recipes-*.json")
    assert record.stat().st_mode & 0o777 == 0o600
    record.chmod(0o622)
    assert main(["sample", "known", "-n", "1"]) == 2
    record.chmod(0o600)
    assert main(["sample", "known", "-n", "1"]) == 0
    forget(monkeypatch)
    assert was_executed(folder)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    record.rename(record.with_name(f"recipes-{os.getuid()}.json"))
    assert main(["sample", "known", "-n", "1"]) == 2


def test_a_training_ends_without_a_record(folder, monkeypatch):
    """A cache that cannot be written costs a question later, and no training."""
    (folder / "cache").write_text("a file")
    train(folder)
    assert main(["sample", "known", "-n", "1"]) == 0  # in the same session
    forget(monkeypatch)
    was_executed(folder)
    assert main(["sample", "known", "-n", "1"]) == 2


def test_a_file_that_changes_during_its_training_costs_no_report(folder, monkeypatch):
    run = latentia.train("code.py:mine", "good.npy", run="known", progress=False, epochs=1)
    Path("code.py").write_text("raise SystemExit", encoding="utf-8")
    assert run.sample(1).shape[0] == 1


AS_MODULE = """import json, os, runpy, sys
sys.path.pop(0)
for folder, words in json.loads(sys.argv[1]):
    os.chdir(folder)
    sys.path.insert(0, os.getcwd())
    sys.argv = ["latentia", *words]
    try:
        runpy.run_module("latentia", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(folder, end.code)
"""  # `python -m latentia` in each folder, in one process


def test_no_module_of_the_current_folder_is_imported(folder):
    """Neither an installed plugin nor an optional package, of `python -m latentia` in a run."""
    mark = CODE.format(mark=str(folder / "mark"))
    for name in ("evil", "wandb", "optuna", "pillow_heif", "mine"):
        (folder / "run" / f"{name}.py").write_text(mark)
    points = folder / "run" / "evil-1.0.dist-info"
    points.mkdir()
    (points / "METADATA").write_text("Name: evil\nVersion: 1.0\n")
    (points / "entry_points.txt").write_text("[latentia.plugins]\nevil = evil\n")
    metadata, calls = read_json(folder / "run" / "run.json"), []
    resume, sample = ["resume", "."], ["sample", ".", "-n", "1", "--sampler", "evil"]
    for tracker, words in (("wandb", resume), ("evil", resume), ("evil", sample)):
        calls.append((str(folder / f"run{len(calls)}"), words))
        shutil.copytree(folder / "run", calls[-1][0])
        metadata["options"]["tracker"] = tracker
        write_json(Path(calls[-1][0]) / "run.json", metadata)
    command = [sys.executable, "-c", AS_MODULE, json.dumps(calls)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not was_executed(folder), result.stderr
    assert "Traceback" not in result.stderr
    codes = [line.rpartition(" ") for line in result.stdout.splitlines()[-len(calls) :]]
    assert [name for name, _, code in codes if code in "02"] == [name for name, _ in calls]


def test_a_name_is_split_at_its_last_colon(folder):
    assert parse_recipe_file("conv_vae") is None
    assert parse_recipe_file("code.py:mine") == (folder / "code.py", "mine")
    assert parse_recipe_file("code.py").function_name == ""
    for name in ("no.py:mine", f"{'x' * 5000}.py:mine", "\0.py:mine"):
        with pytest.raises(Error, match="There is no file"):
            parse_recipe_file(name)
