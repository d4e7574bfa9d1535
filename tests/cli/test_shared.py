"""Commands that several processes share say and write what one would, once."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from toys import TRAIN

from data.shards import counted
from latentia.cli.main import main

FIGURES = ["--split", "all", "--metrics", "elbo,nll,fd", "--k", "2", "-n", "90", "--json"]
FIGURES += ["--features"]
STREAMED = ["--hidden", "8", "--epochs", "1", "--batch", "16", "--device", "cpu", "--run"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 1,100 labelled images: several batches of any command."""
    folder = tmp_path_factory.mktemp("shared")
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (1100, 28, 28), dtype=np.uint8)
    np.savez(folder / "toy.npz", x=images, y=np.arange(1100) % 2)
    words = ["train", "mnist_mlp_vae", "--data", str(folder / "toy.npz"), *TRAIN, "--batch", "100"]
    assert main([*words, "--run", str(folder / "run")]) == 0
    return folder / "run"


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def share(folder, commands):
    """Of each command the exit codes of two processes, and all that they said."""
    text = json.dumps([[str(word) for word in words] for words in commands])
    (folder / "commands.json").write_text(text)
    script = Path(__file__).with_name("pair.py")
    command = [sys.executable, script, folder, *free_ports(len(commands))]
    meet = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    both = [
        subprocess.Popen(command, env={**meet, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"
    ]
    assert [each.wait(timeout=500) for each in both] == [0, 0]
    for number in range(len(commands)):
        said = [json.loads((folder / f"{number}-{rank}.json").read_text()) for rank in "01"]
        codes, *texts = ([each[key] for each in said] for key in ("code", "out", "err"))
        yield (codes, *map("".join, texts))


@pytest.fixture(scope="module")
def shared(run, tmp_path_factory):
    """What two processes said of the commands below, by name; started once, which takes longest."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "file").touch()
    np.save(folder / "toy.npy", np.zeros((40, 20, 20), np.uint8))
    shards = counted(folder / "shards", shards=12, each=8, size=(12, 12))
    batch = ["--data", folder / "toy.npy", "--batch", "7", "--run", folder / "r"]
    commands = {
        "table": ["encode", run, "--out", folder / "two.parquet"],
        "pixels": ["evaluate", run, *FIGURES, "pixels"],
        "mistake": ["encode", run, "--out", folder / "file" / "t.csv"],
        "batch": ["train", "mnist_mlp_vae", *batch],
        "nowhere": ["encode", "nowhere"],
        "stream": ["train", "mnist_mlp_vae", "--data", shards, "--stream", *STREAMED, folder / "s"],
    }
    found = dict(zip(commands, share(folder, commands.values()), strict=True))
    return found | {"folder": folder}


def test_a_table_of_two_processes_is_that_of_one(run, shared, tmp_path):
    one, two = tmp_path / "one.parquet", shared["folder"] / "two.parquet"
    assert main(["encode", str(run), "--out", str(one)]) == 0
    codes, out, err = shared["table"]
    assert (codes, out) == ([0, 0], f"{two}\n"), err
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("features", ["pixels", pytest.param("auto", marks=pytest.mark.slow)])
def test_figures_of_two_processes_are_those_of_one(run, shared, tmp_path, capsys, features):
    """Also those that the first one makes by itself; auto: by a classifier that it trains."""
    words = ["evaluate", str(run), *FIGURES, features]
    codes, out, err = shared[features] if features in shared else next(share(tmp_path, [words]))
    assert codes == [0, 0], err
    capsys.readouterr()
    assert main(words) == 0
    one, two = json.loads(capsys.readouterr().out), json.loads(out)
    assert two == one
    names = ["fd_samples", "fd_reconstructions"]  # without --split all the floor, fd_real, too
    assert [row["name"] for row in one["metrics"]["fd"]] == names


def test_a_mistake_that_a_later_process_alone_meets_is_said(shared):
    """As where another machine does not see the images; what all meet the first says alone."""
    codes, _, err = shared["nowhere"]
    assert all(codes)
    assert err.count("Process 1 of 2: Not visible here.\n") == 1
    assert err.count("There is no run at nowhere;") == 1


def test_a_mistake_is_said_once_and_nobody_waits(shared):
    codes, out, err = shared["mistake"]
    assert all(codes)
    assert out == ""
    assert err.count("t.csv cannot be written (File exists); give another --out.\n") == 1
    assert "another process ended" not in err


def test_a_batch_that_cannot_be_shared_is_refused(shared):
    codes, _, err = shared["batch"]
    assert all(codes)
    text = "2 processes cannot share 7 images; 2 must divide --batch.\n"
    assert err.count(text) == 1
    assert not (shared["folder"] / "r").exists()


def test_two_processes_stream_the_same_images_in_the_same_splits(shared):
    """Only shards are there: whoever did not stream would find no image."""
    codes, _, err = shared["stream"]
    assert codes == [0, 0], err
    assert len(list((shared["folder"] / "s").glob("weights.safetensors"))) == 1
