"""Nothing half-made: a run that is killed while it is made, damaged, or short of disk space."""

import errno
import io
import json
import os
import re
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

import latentia
from latentia.api.training import start_run
from latentia.cli.main import main
from latentia.core import checksums, files
from latentia.core.errors import DamageError, Error
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import (
    atomic_path,
    atomic_write,
    read_json,
    read_metadata,
    read_tensors,
    update_json,
    write_json,
    write_tensors,
)
from mistakes import error

CHANGES = ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir")
OPTIONS = latentia.Options(log_every=2, save_every=2)
TINY = ["--hidden", "8", "--latent", "3", "--batch", "16", "--epochs", "1", "--precision", "fp32"]


@contextmanager
def count_changes(act):
    """Call `act(number)` before each call that changes files, and once a new file is empty."""
    number = [0]

    def count():
        number[0] += 1
        act(number[0])

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            function = getattr(os, name)

            def counted(*args, function=function, **options):
                count()
                return function(*args, **options)

            patch.setattr(os, name, counted)
        open_file = io.open

        def open_counted(file, mode="r", *args, **options):
            if {*"wax+"} & {*str(mode)}:
                count()
                if {*"wx"} & {*str(mode)}:
                    open_file(file, mode, *args, **options).close()  # it is empty for a moment
                    count()
            return open_file(file, mode.replace("x", "w"), *args, **options)

        patch.setattr(io, "open", open_counted)
        patch.setattr("builtins.open", open_counted)
        yield number


def create_and_die(kill_number, arguments):
    """Kill this process at the nth change of a file while it creates a run."""

    def act(number):
        if number == kill_number:
            os.kill(os.getpid(), signal.SIGKILL)

    with count_changes(act):
        create_run(*arguments)
    os._exit(7)  # it came to its end


@pytest.mark.parametrize("kind", ["plain", "init", "prior"])
@pytest.mark.parametrize("place", ["new", "empty"])
def test_a_kill_at_any_moment_of_the_creation_is_no_obstacle(toy, tmp_path, kind, place):
    """After each kill the same command trains, or `resume` does: nothing is in the way."""
    parent, options = toy("parent"), OPTIONS
    data = parent.metadata["arguments"]["data"]
    recipe, knobs = "mnist_mlp_vae", {"hidden": 8, "latent": 3, "batch": 16, "epochs": 1}
    if kind == "init":
        options = latentia.Options(log_every=2, save_every=2, init=str(parent.path))
    if kind == "prior":
        recipe, knobs = "latent_prior", {"width": 16, "depth": 1, "batch": 16, "epochs": 1}
        knobs |= {"autoencoder": parent.path}
    else:
        knobs |= {"data": data}
    path = tmp_path / "runs" / "r"
    arguments = (recipe, knobs, {}, options, path)
    create_run(*arguments[:-1], tmp_path / "first")  # what it imports, no fork imports again
    fork, kills, code = get_context("fork"), 0, None
    while code != 7:
        if place == "empty" and not path.exists():
            path.mkdir(parents=True)
        kills += 1
        process = fork.Process(target=create_and_die, args=(kills, arguments))
        process.start()
        process.join()
        code = process.exitcode
        assert code in (-signal.SIGKILL, 7)
        if (path / "run.json").exists():  # it is whole
            assert latentia.load(path).metadata["recipe"] == recipe
            assert not [
                each for each in path.iterdir() if each.suffix == ".part" and each.is_file()
            ]
            if code != 7:
                shutil.rmtree(path)
    assert kills > (15 if kind == "plain" else 20)
    _, events = latentia.api.training.resume_run(path)
    next(events)
    events.close()
    names = {each.name for each in path.iterdir()}
    assert names <= {"run.json", "autoencoder", "state.safetensors", "weights.safetensors"} | {
        *("log.jsonl", "timing.jsonl", ".lock")
    }
    assert [each.name for each in path.parent.iterdir()] == ["r"]
    assert not (path / "autoencoder").exists() or sorted(os.listdir(path / "autoencoder")) == [
        "run.json",
        "weights.safetensors",
    ]


def flip(path: Path, byte: int, bit: int = 2) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory):
    """A run with every file that a run has, trained once."""
    folder = tmp_path_factory.mktemp("undamaged")
    np.save(folder / "toy.npy", np.random.default_rng(0).integers(0, 256, (60, 12, 10), np.uint8))
    knobs = {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3, "data": str(folder / "toy.npy")}
    options = latentia.Options(log_every=2, save_every=2, track="0")
    run, events = start_run("mnist_mlp_vae", knobs, run=folder / "whole", options=options)
    list(events)
    latentia.load(run.path).evaluate("elbo")
    latentia.load(run.path).report()
    return run.path


@pytest.fixture
def whole(undamaged, tmp_path):
    """A copy, which a test may damage."""
    return RunFolder.open(shutil.copytree(undamaged, tmp_path / "whole"))


READERS = {  # file -> commands that read it
    "run.json": ("sample", "evaluate", "doctor", "report", "resume", "encode", "export"),
    "weights.safetensors": ("sample", "evaluate", "doctor", "report", "encode", "export"),
    "state.safetensors": ("doctor", "report", "resume"),
    "log.jsonl": ("doctor", "report", "resume"),
    "evaluation.json": ("evaluate", "report", "resume"),
    "diagnosis.json": ("doctor",),
    "progress/samples-0002.png": ("report", "resume"),
    "progress/tracked-0001.png": ("report", "resume"),
}


def words(command, run, out):
    more = {
        "sample": ["-n", "1", "--out", out / "s.png"],
        "evaluate": ["--metrics", "elbo"],
        "encode": ["--out", out / "z.csv"],
        "export": ["--to", "onnx", "--out", out / "onnx"],
    }
    return [command, run, *more.get(command, [])]


@pytest.mark.report
@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_is_noticed_by_every_command_that_reads_the_file(
    whole, name, tmp_path, capsys
):
    good = {p: p.read_bytes() for p in whole.path.rglob("*") if p.is_file()}
    file = whole.path / name
    size = file.stat().st_size
    for command in READERS[name]:
        for byte in (3, 20, size // 2, size - 3)[:: 1 if command in ("doctor", "sample") else 2]:
            flip(file, byte)
            checksums._compare_checksum.cache_clear()
            assert main([str(w) for w in words(command, whole.path, tmp_path)]) == 2
            message = capsys.readouterr().err.splitlines()[-1]
            assert Path(name).name in message, (command, byte, message)
            for path, content in good.items():
                path.write_bytes(content)


def test_damaged_weights_are_written_anew_from_the_state(whole, capsys):
    good = whole.weights.read_bytes()
    flip(whole.weights, -50)
    text = error(capsys, "sample", whole.path, "-n", "1", "--out", whole.path.parent / "s.png")
    assert f"`latentia resume {whole.path}` writes it from the saved state" in text
    assert main(["resume", str(whole.path)]) == 0
    assert whole.weights.read_bytes() == good


def test_an_edit_of_run_json_is_refused_until_it_is_accepted(whole, capsys):
    path = whole.path / "run.json"
    content = json.loads(path.read_text())
    content["notes"] = ["edited"]
    path.write_text(json.dumps(content))
    with pytest.raises(DamageError, match=r"run.json holds other bytes .* latentia.make_checksums"):
        latentia.load(whole.path)
    latentia.make_checksums(whole.path)
    assert latentia.load(whole.path).metadata["notes"] == ["edited"]
    assert capsys.readouterr().err.count("checksums") == 0
    before = whole.weights.read_bytes(), whole.state.read_bytes()
    latentia.make_checksums(whole.path)
    assert (whole.weights.read_bytes(), whole.state.read_bytes()) == before


def test_a_run_without_checksums_opens_with_a_note(whole, capsys):
    for path in (whole.weights, whole.state):
        content = path.read_bytes()
        path.write_bytes(content.replace(rb"\"checksum\": \"", rb"\"checkzzz\": \"", 1))
    content = json.loads((whole.path / "run.json").read_text())
    content.pop("checksum")
    (whole.path / "run.json").write_text(json.dumps(content, indent=1))
    for path, (tensors, metadata) in {
        p: read_tensors(p, check=False) for p in (whole.weights, whole.state)
    }.items():
        from safetensors.torch import save

        metadata = {k: v for k, v in metadata.items() if k not in ("checkzzz", "log_sha256")}
        path.write_bytes(save(tensors, {"about": json.dumps(metadata)}))
    out = str(whole.path.parent / "s.png")
    assert main(["sample", str(whole.path), "-n", "1", "--out", out]) == 0
    line, verdict = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{whole.path} has no checksums of its files")
    assert "whole cannot be used: " in verdict
    assert verdict.endswith(f". `latentia doctor {whole.path}` says more.")
    latentia.make_checksums(whole.path)
    flip(whole.weights, -50)
    with pytest.raises(DamageError):
        latentia.load(whole.path).sample(1)


def test_a_file_is_compared_with_its_checksum_once_a_command(tmp_path):
    """However often a command reads it, and anew once it has changed."""
    write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2**10)}, {"step": 3})
    checksums._compare_checksum.cache_clear()
    for _ in range(3):
        assert read_metadata(tmp_path / "a.safetensors") == {"step": 3}
    assert checksums._compare_checksum.cache_info().misses == 1
    flip(tmp_path / "a.safetensors", -50)
    os.utime(tmp_path / "a.safetensors", (0, 0))
    with pytest.raises(DamageError):
        read_metadata(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["log.jsonl", "progress", "weights.safetensors", ".lock.owner"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_run(toy, tmp_path, capsys, name):
    run, outside = toy("r", stop=4), tmp_path / "outside"
    link = run.path / name
    if name == "progress":
        outside.mkdir()
        shutil.rmtree(link, ignore_errors=True)
    elif link.exists():
        link.rename(outside)
    else:
        outside.write_text("mine")
    link.symlink_to(outside)
    before = [] if name == "progress" else outside.read_bytes()
    assert f"holds a link that leads out of it, {name}" in error(capsys, "resume", run.path)
    assert (list(outside.iterdir()) if name == "progress" else outside.read_bytes()) == before


def test_files_that_readers_write_replace_a_link(whole, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in ("evaluation.json", "report.html", ".evaluation.json.part"):
        (whole.path / name).unlink(missing_ok=True)
        (whole.path / name).symlink_to(outside)
    (whole.path / "evaluation.json").unlink()
    latentia.load(whole.path).evaluate("elbo")
    latentia.load(whole.path).report()
    assert outside.read_text() == "mine"
    assert not (whole.path / "evaluation.json").is_symlink()


def fail_at(limit, code):
    def act(number):
        if number >= limit:  # a full disk stays full
            raise OSError(code, os.strerror(code))

    return act


def export_once(export):
    """PyTorch's export, once for each shape of the inputs."""
    programs = {}

    def export_or_reuse(module, examples, **options):
        key = tuple(example.shape for example in examples)
        if key not in programs:
            programs[key] = export(module, examples, **options)
        return programs[key]

    return export_or_reuse


@pytest.mark.report
@pytest.mark.parametrize(
    ("command", "code"),
    [
        *(("train", code) for code in (errno.ENOSPC, errno.EROFS)),
        *((name, errno.ENOSPC) for name in ("resume", "evaluate", "report", "sample")),
        *(("encode", errno.EACCES), ("export", errno.ENOSPC), ("sweep", errno.ENOSPC)),
    ],
)
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(
    toy, tmp_path, capsys, monkeypatch, command, code
):
    """At several of the changes of files that a command makes; what stood before stays."""
    if command == "export":  # PyTorch's part of it, of which no change depends, is made once
        monkeypatch.setattr(torch.onnx, "export", export_once(torch.onnx.export))
    run = toy("r", stop=4)
    data = run.metadata["arguments"]["data"]
    list_words = {
        "train": ["train", "mnist_mlp_vae", "--data", data, *TINY, "--run"],
        "sweep": [
            "sweep",
            "mnist_mlp_vae",
            "--over",
            "beta=1,2",
            "--trials",
            "2",
            *TINY,
            "--data",
            data,
            "--out",
        ],
    }
    kept = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    name, limit, code_found, sentences = 0, 1, 2, set()
    while code_found != 0:
        name += 1
        target = tmp_path / f"t{name}"
        given = (
            [*list_words[command], str(target)]
            if command in list_words
            else words(command, run.path, target)
        )
        with count_changes(fail_at(limit, code)):
            code_found = main([str(each) for each in given])
        out, err = capsys.readouterr()
        if code_found:
            assert code_found == 2, err
            sentence = err.splitlines()[-1]
            assert "Traceback" not in err
            assert str(tmp_path) in sentence, (limit, sentence)
            if command != "sweep":  # optuna may report the lock that it could not remove
                assert os.strerror(code) in sentence
            sentences.add(sentence)
            if command == "evaluate":
                assert "nats" in out  # what was measured is printed
        if command == "resume":
            with monkeypatch.context() as patch:
                patch.setattr("latentia.report.page.write_report", lambda *_: None)
                main(["resume", str(run.path)])
            capsys.readouterr()
        for path, content in kept.items():
            if command == "resume":
                path.write_bytes(content)
            else:
                assert path.read_bytes() == content
        limit += max(1, limit // 2)  # many at the beginning, fewer later
    assert sentences


def test_python_returns_results_that_cannot_be_kept(whole):
    before = (whole.path / "evaluation.json").read_bytes()
    run = latentia.load(whole.path)
    run.model, run.images  # noqa: B018  (opened before the disk is full)
    with count_changes(fail_at(1, errno.ENOSPC)), pytest.warns(UserWarning, match="are not kept"):
        results = run.evaluate("elbo")
    assert np.isfinite(results["nelbo_nats"].value)
    assert (whole.path / "evaluation.json").read_bytes() == before


@contextmanager
def write_beside(path, seconds):
    """Another process that writes a file, slowly, and begins before the block does."""
    begun = get_context("fork").Event()

    def write():
        with atomic_path(path) as part:
            part.write_bytes(b"half of ")
            begun.set()
            time.sleep(seconds)
            part.write_bytes(b"half of it")

    process = get_context("fork").Process(target=write)
    process.start()
    assert begun.wait(10)
    yield process
    process.join()


def test_two_processes_that_write_one_file_do_so_in_turn(tmp_path):
    path = tmp_path / "a.csv"
    with write_beside(path, 0.3) as other:
        atomic_write(path, b"mine")
        assert path.read_bytes() == b"mine"
    assert other.exitcode == 0
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_that_another_process_writes_for_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RETRIES", 2)
    path = tmp_path / "a.csv"
    with (
        write_beside(path, 1) as other,
        pytest.raises(Error, match=r"a\.csv cannot be written \(another process is writing it\)"),
    ):
        atomic_write(path, b"mine")
    assert (other.exitcode, path.read_bytes()) == (0, b"half of it")


def test_two_writers_of_results_lose_none(tmp_path):
    path, inside = tmp_path / "a.json", threading.Event()

    def add_slowly():
        content = read_json(path)
        inside.set()
        time.sleep(0.3)
        return {**content, "one": 1}

    thread = threading.Thread(target=update_json, args=(path, add_slowly))
    thread.start()
    inside.wait(10)
    update_json(path, lambda: {**read_json(path), "two": 2})
    thread.join()
    assert read_json(path) == {"one": 1, "two": 2}


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (3, "Update latentia, which is older."),
        (1, "Copy the run anew."),
        ("3", "Copy the run anew."),
    ],
)
def test_a_run_of_a_later_version_asks_for_that_version(whole, number, advice):
    content = read_json(whole.path / "run.json")
    write_json(whole.path / "run.json", {**content, "format": number})
    message = f"in run.json, format is {number!r}, and must be 2. {advice}"
    with pytest.raises(Error, match=re.escape(message)):
        latentia.load(whole.path)


def test_a_file_without_json_is_not_said_to_be_an_edit(whole):
    (whole.path / "run.json").write_text("{")
    with pytest.raises(DamageError, match=r"it holds no JSON object\. Copy it anew\.$"):
        latentia.load(whole.path)
    with pytest.raises(Error, match=r"run\.json holds no JSON \(.*\)"):
        latentia.make_checksums(whole.path)
