"""Every file of settings in a run is checked when it is read: one sentence, no traceback.

All edits: `pytest -m slow tests/cli/test_run_edits.py`; it prints the numbers of exit codes.
"""

import collections
import hashlib
import shutil
from pathlib import Path

import pytest

from latentia.cli.main import main
from latentia.training.checkpoint import read_tensors, write_tensors
from run_edits import edit_file

GOLDEN = Path(__file__).parents[1] / "golden" / "run-format-1"
COMMANDS = [
    *(["sample", "run", "-n", "2"], ["evaluate", "run", "--metrics", "elbo"], ["doctor", "run"]),
    *(["encode", "run", "--out", "z.csv"], ["report", "run"], ["resume", "run"]),
    *(["traverse", "run", "0", "--steps", "2"], ["reconstruct", "run", "-n", "2"]),
    *(["nearest", "run", "0"], ["relate", "run", "--permutations", "3"]),
    *(["outliers", "run", "-n", "2"], ["decode", "run", "--latents=latents.csv"]),
]
OTHER_FILES = {  # with the commands that read them
    "log.jsonl": ["doctor", "report", "resume"],
    "evaluation.json": ["report", "evaluate"],
    "diagnosis.json": ["doctor"],
    "state.safetensors": ["resume", "doctor"],
    "weights.safetensors": ["sample", "evaluate", "doctor"],
}
RUNS = ["new", "multirate", "prior", "supervise"]


@pytest.fixture
def folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "run", "new")
    for name in RUNS[1:]:
        shutil.copytree(GOLDEN / name, name)
    Path("latents.csv").write_text("0,0,0\n", encoding="utf-8")
    return tmp_path


def digest_files(*folders):
    files = [file for each in folders for file in Path(each).rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def try_edit(number, file, place, capsys):
    """Edit a file of a copy of a run, run a command on it, and return the exit code."""
    source = RUNS[number % len(RUNS)]
    source = next(each for each in (source, *RUNS) if (Path(each) / file).exists())
    commands = [each for each in COMMANDS if each[0] in OTHER_FILES.get(file, each)]
    words = commands[number // len(RUNS) % len(commands)]
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree(source, "run")
    edit_file(Path("run") / file, number)
    before, files = digest_files("run"), digest_files(place)
    try:
        code = main(words)
    except BaseException as error:
        raise AssertionError(f"edit {number} of {file} of {source}: {words}") from error
    out, err = capsys.readouterr()
    assert code in (0, 2), (number, words, err)
    assert "Traceback" not in out + err
    if code == 2:
        message = err.strip().splitlines()[-1]
        assert message.count(". ") <= 2, message
        after = digest_files("run")
        assert {name: after.get(name) for name in before} == before, (number, words, message)
    assert digest_files(place) == files
    return code


def try_edits(numbers, file, place, capsys):
    counts = collections.Counter(try_edit(number, file, place, capsys) for number in numbers)
    with capsys.disabled():
        print(f" {file}: {counts[2]} refused, {counts[0]} valid", end="")
    assert counts[2]


@pytest.mark.parametrize("start", [0, 24])
def test_an_edited_run_json_is_refused_in_one_sentence(start, folder, place, capsys):
    try_edits(range(start, start + 24), "run.json", place, capsys)


@pytest.mark.parametrize("file", OTHER_FILES)
def test_another_edited_file_is_refused_in_one_sentence(file, folder, place, capsys):
    try_edits(range(1000, 1016), file, place, capsys)


@pytest.mark.parametrize("field", ["log_bytes", "step"])
def test_a_state_without_a_field_is_refused_in_one_sentence(field, folder, capsys):
    tensors, metadata = read_tensors(Path("new/state.safetensors"))
    del metadata[field]
    write_tensors(Path("new/state.safetensors"), tensors, metadata)
    codes = [main([command, "new"]) for command in ("doctor", "report", "resume")]
    assert 2 in codes
    assert set(codes) <= {0, 2}
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_500_edits_of_run_json(folder, place, capsys):
    try_edits(range(500), "run.json", place, capsys)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("file", OTHER_FILES)
def test_100_edits_of_every_other_file(file, folder, place, capsys):
    try_edits(range(1000, 1100), file, place, capsys)
