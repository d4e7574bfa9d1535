"""Several processes train one model as one; the laws themselves run in together.py, by torchrun."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latentia.core import distributed
from latentia.core.errors import Error
from latentia.training.launch import count_requested_processes, init_distributed

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
LAWS = [
    *(f"gradients: {name}" for name in ("VAE", "GAN", "VAE-GAN", "features", "latent diffusion")),
    *(f"bits: {name}" for name in ("VAE", "VAE-GAN", "latent diffusion")),
    "skip",
    "share",
]


def launched(*words):
    return subprocess.run([*LAUNCH, *map(str, words)], capture_output=True, text=True, timeout=300)


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
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    assert distributed.all_gather_objects("own") == ["own"]
    assert distributed.any_rank(False) is False


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_a_launch_that_came_out_as_one_process_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    with pytest.raises(Error) as caught, init_distributed():
        pass
    assert str(caught.value) == (
        "2 processes were requested, but only one runs; start them with torchrun "
        "--nproc_per_node 2 -m -- latentia train ..., on a CPU too."
    )


def test_a_shell_of_srun_and_empty_values_are_one_process(monkeypatch):
    """`srun --pty` says how many tasks its step has; a command typed there is one."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_PTY_PORT", "40000")
    for name in ("WORLD_SIZE", "GROUP_WORLD_SIZE", "PMI_SIZE"):
        monkeypatch.setenv(name, "")
    with init_distributed():
        assert distributed.world_size() == 1


def test_what_accelerate_was_told_is_read_from_its_words(tmp_path, monkeypatch):
    """It starts one process on a CPU; here a script of its name, which waits, stands in for it."""
    script = tmp_path / "accelerate"
    script.write_text("print(flush=True)\ninput()")
    for words, count in (["--num_processes", "3"], 3), (["--num_processes=3"], 3), ([], 1):
        command = [sys.executable, script, "launch", "--cpu", *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, **pipes) as parent:
            parent.stdout.readline()  # its words cannot be read before it runs
            monkeypatch.setattr(os, "getppid", lambda pid=parent.pid: pid)
            assert count_requested_processes() == count
            parent.kill()


def test_machines_that_do_not_know_each_other_are_refused(monkeypatch):
    """srun starts torchrun on two machines, and each is told of one."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    with pytest.raises(Error) as caught, init_distributed():
        pass
    assert str(caught.value) == (
        "srun started torchrun 2 times and this one knows of 1: each would train alone. Give "
        "torchrun --nnodes 2 and a common --rdzv_endpoint, as in docs/train.sbatch."
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
    assert "Process 0 of 2 stops because another process ended. The last checkpoint" in err
    assert "[rank0]: Traceback" not in err
    done = launched("-m", "--", "latentia", "resume", tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    for name in ("log.jsonl", "state.safetensors", "weights.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    alone = [sys.executable, "-m", "latentia", "resume", str(tmp_path / "cut")]
    told = subprocess.run(alone, capture_output=True, text=True, check=True).stderr
    assert "bits may differ: processes: 2 then, 1 now." in told


@pytest.mark.slow
def test_two_machines_that_are_pre_empted_go_on_as_if_they_had_not_been(tmp_path):
    """Two launchers on this one; both get SIGTERM, as from SLURM, and are started again.

    The workers get it too, as when a whole process group is told: saving is not interrupted.
    """
    images = np.random.default_rng(0).integers(0, 256, (300, 20, 20), dtype=np.uint8)
    np.save(tmp_path / "toy.npy", images)
    words = ["latentia", "train", "mnist_mlp_vae", "--data", str(tmp_path / "toy.npy")]
    words += ["--hidden", "8", "--batch", "8", "--epochs", "100"]

    def nodes(*words, stop=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        meet = ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "7"]
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", *meet]
        command = [*launch, "--nproc_per_node", "1", "-m", "--", *words]
        both = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
            for _ in range(2)
        ]  # fmt: skip
        if stop:
            deadline = time.monotonic() + 120
            while not stop.exists() or stop.stat().st_size < 2000:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            for each in both:
                os.killpg(each.pid, signal.SIGTERM)
        said = [each.communicate(timeout=300)[0] for each in both]
        return [each.returncode for each in both], "".join(said)

    codes, _ = nodes(*words, "--run", str(tmp_path / "whole"))
    assert codes == [0, 0]
    cut = tmp_path / "cut"
    codes, said = nodes(*words, "--run", str(cut), stop=cut / "log.jsonl")
    assert all(codes)
    assert "Stopped at step " in said
    assert not (cut / "report.html").exists()
    codes, said = nodes("latentia", "resume", str(cut))
    assert codes == [0, 0]
    for name in ("log.jsonl", "state.safetensors", "weights.safetensors"):
        assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


SLURM = {  # stand-ins, each a script: what it was told goes to `told`
    "scontrol": "case $1 in show) echo first;; *) echo scontrol $* >> told;; esac",
    "srun": "echo srun $* >> told; [ -z $ENDS ] || { mkdir -p r; touch r/report.html; exit 0; }\n"
    "echo $$ > step; trap 'exit 1' TERM; trap 'exit 130' USR1; touch ready\n"
    "for k in {1..1000}; do sleep 0.05; done",
    "scancel": "echo scancel $* >> told; kill -USR1 $(cat step)",
}


@pytest.mark.parametrize("ends", ["1", ""])
@pytest.mark.parametrize("begun", [False, True])
def test_the_sbatch_script_resumes_what_is_there_and_queues_again_what_was_stopped(
    tmp_path, ends, begun
):
    for name, text in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    if begun:
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "run.json").touch()
    env = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": "x", "ENDS": ends}
    env |= {"SLURM_GPUS_ON_NODE": "4", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = Path(__file__).parents[2] / "docs" / "train.sbatch"
    words = ["bash", script, "conv_vae", "--data", "my photos", "--run", "r"]
    deadline = time.monotonic() + 30
    job = subprocess.Popen(words, cwd=tmp_path, env=env)
    while not ends and not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not ends:
        job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == (0 if ends else 130)
    told = (tmp_path / "told").read_text().splitlines()
    given = "resume r" if begun else "train conv_vae --data my photos --run r"
    meet = "--rdzv_id 9 --rdzv_backend c10d --rdzv_endpoint first:29500"
    start = f"srun torchrun --nnodes 2 --nproc_per_node 4 {meet} -m -- latentia {given}"
    assert told == [start, *([] if ends else ["scancel --signal=TERM 9.0", "scontrol requeue 9"])]


def test_the_sbatch_script_wants_a_run():
    script = Path(__file__).parents[2] / "docs" / "train.sbatch"
    done = subprocess.run(["bash", script, "conv_vae"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "Give --run: without it a second start would train anew.\n"
