"""Commands that several processes share say and write what one would, once."""

import json
import subprocess
import sys

import numpy as np
import pytest
from toys import TRAIN

from latentia.cli.main import main

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


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


def shared(*words):
    done = subprocess.run(
        [*LAUNCH, "-m", "--", "latentia", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=500,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_table_of_two_processes_is_that_of_one(run, tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    assert main(["encode", str(run), "--out", str(one)]) == 0
    code, out, err = shared("encode", run, "--out", two)
    assert (code, out) == (0, f"{two}\n"), err
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("features", ["pixels", pytest.param("auto", marks=pytest.mark.slow)])
def test_figures_of_two_processes_are_those_of_one(run, capsys, features):
    """Also those that the first one makes by itself; auto: by a classifier that it trains."""
    words = ["evaluate", run, "--split", "all", "--metrics", "elbo,nll,fd", "--k", "2", "-n", "90"]
    words += ["--json", "--features", features]
    code, out, err = shared(*words)
    assert code == 0, err
    capsys.readouterr()
    assert main([*map(str, words)]) == 0
    one, two = json.loads(capsys.readouterr().out), json.loads(out)
    assert two == one
    assert len(one["metrics"]["fd"]) == 2


def test_a_mistake_that_a_later_process_alone_meets_is_said(tmp_path):
    """As where another machine does not see the images; what all meet the first says alone."""
    script = tmp_path / "one.py"
    script.write_text(
        "import os, sys\n"
        "from latentia.core.errors import Error\n"
        "from latentia.runs import folder as run\n"
        "opened = run.RunFolder.open\n"
        "def met(path):\n"
        "    if os.environ['RANK'] == '1':\n"
        "        raise Error('Not visible here.')\n"
        "    return opened(path)\n"
        "run.RunFolder.open = met\n"
        "from latentia.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [*LAUNCH, script, "encode", "nowhere"], capture_output=True, text=True, timeout=500
    )
    assert done.returncode
    assert done.stderr.count("Process 1 of 2: Not visible here.\n") == 1
    assert done.stderr.count("There is no run at nowhere;") <= 1  # the other one ends this one


def test_a_mistake_is_said_once_and_nobody_waits(run, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = shared("encode", run, "--out", tmp_path / "file" / "t.csv")
    assert code
    assert out == ""
    assert err.count("t.csv cannot be written (File exists); give another --out.\n") == 1
    assert "another process ended" not in err
