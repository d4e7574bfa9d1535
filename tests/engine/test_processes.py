"""Several processes train one model as one; the laws themselves run in together.py, by torchrun."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latentia.core import processes
from latentia.core.errors import Error
from latentia.engine.launch import together

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
LAWS = [
    *(f"gradients: {name}" for name in ("VAE", "GAN", "VAE-GAN", "latent diffusion")),
    *(f"bits: {name}" for name in ("VAE", "VAE-GAN", "latent diffusion")),
    "skip",
    "share",
]


def launched(*words):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*LAUNCH, *map(str, words)], capture_output=True, text=True, env=env, timeout=300
    )


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    script = Path(__file__).with_name("together.py")
    done = launched(script, tmp_path_factory.mktemp("together"))
    return done.stdout, done.stderr


@pytest.mark.parametrize("law", LAWS)
def test_two_processes_are_as_one(said, law):
    """Gradients: of one process with the whole batch, float64. Bits: 50 steps, both the same.
    Skip: what is not finite in one is left by both. Share: tables and figures, to the bit.
    """
    out, err = said
    assert f"holds {law}\n" in out, err[-3000:]


def test_alone_nothing_is_sent():
    assert (processes.size(), processes.rank()) == (1, 0)
    assert processes.gathered("own") == ["own"]
    assert processes.agreed(False) is False


def test_a_launch_that_came_out_as_one_process_is_refused(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    with pytest.raises(Error) as caught, together():
        pass
    assert str(caught.value) == (
        "2 processes were asked for and this one is alone; start them with torchrun "
        "--nproc_per_node 2 -m -- latentia train ..., on a CPU too."
    )


@pytest.mark.slow
def test_a_process_that_is_killed_takes_the_other_along_and_the_run_goes_on(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (300, 20, 20), dtype=np.uint8)
    np.save(tmp_path / "toy.npy", images)
    words = ["-m", "--", "latentia", "train", "mnist_mlp_vae", "--data", str(tmp_path / "toy.npy")]
    words += ["--hidden", "8", "--batch", "8", "--epochs", "100", "--save-every", "10"]
    assert launched(*words, "--run", tmp_path / "whole").returncode == 0
    running = subprocess.Popen(
        [*LAUNCH, *words, "--run", str(tmp_path / "cut")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    log = tmp_path / "cut" / "log.jsonl"
    while not log.exists() or log.stat().st_size < 2000:
        time.sleep(0.05)
    found = subprocess.run(
        ["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout.split()[-1]), signal.SIGKILL)
    _, err = running.communicate()
    assert "Process 0 of 2 stops: another one is gone. What was saved is in the run" in err
    assert "[rank0]: Traceback" not in err
    done = launched("-m", "--", "latentia", "resume", tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    for name in ("log.jsonl", "state.safetensors", "weights.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    alone = [sys.executable, "-m", "latentia", "resume", str(tmp_path / "cut")]
    told = subprocess.run(alone, capture_output=True, text=True, check=True).stderr
    assert "bits may differ: processes: 2 then, 1 now." in told


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    np.save(tmp_path / "toy.npy", np.zeros((40, 20, 20), np.uint8))
    words = ["mnist_mlp_vae", "--data", tmp_path / "toy.npy", "--batch", "7"]
    done = launched("-m", "--", "latentia", "train", *words, "--run", tmp_path / "r")
    text = (
        "A batch of 7 images cannot be shared by 2 processes; give a --batch that is a multiple of "
        "their number.\n"
    )
    assert done.stderr.count(text) == 1
