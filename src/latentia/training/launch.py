"""How a process finds the others: `torchrun` has said who it is and where they meet."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from latentia.core import distributed
from latentia.core.errors import Error

T = TypeVar("T")
ALONE = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # srun, mpirun, mpiexec
# How long one waits for the others, which may be long for a reason: the first decodes, or measures
# by itself. Not for those that are gone: a closed connection is seen at once, whatever this is.
PATIENCE = timedelta(days=1)


@contextmanager
def together() -> Iterator[None]:
    """Within, the processes of one launch know each other.

    Raises: Error if several were asked for and this is the only one.
    """
    asked = asked_for()
    many = said("WORLD_SIZE")
    machines = said("GROUP_WORLD_SIZE", 0)  # as torchrun was told
    if 0 < machines < (tasks := said("SLURM_STEP_NUM_TASKS")):
        raise Error(
            f"srun started torchrun {tasks} times and this one knows of {machines}: each would "
            f"train alone. Give torchrun --nnodes {tasks} and a common --rdzv_endpoint, as in "
            "docs/train.sbatch."
        )
    if asked > 1 and many == 1:
        raise Error(
            f"{asked} processes were asked for and this one is alone; start them with torchrun "
            f"--nproc_per_node {asked} -m -- latentia train ..., on a CPU too."
        )
    if many == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(said("LOCAL_RANK", 0) % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except ValueError as problem:
        raise Error(
            f"{many} processes are announced, but they cannot meet ({problem}); start them with "
            "torchrun."
        ) from None
    try:
        yield
    except Error as problem:
        if not problem.shared and not problem.alone and (rank := distributed.rank()):
            problem.alone, problem.args = True, (f"Process {rank} of {many}: {problem}",)
        raise
    finally:
        dist.destroy_process_group()


def said(name: str, otherwise: int = 1) -> int:
    """A number that the launcher put into the environment; some leave it empty."""
    return int(os.environ.get(name) or otherwise)


def asked_for() -> int:
    """How many processes the launcher was told to start, where it does not say who each is."""
    if os.environ.get("WORLD_SIZE"):
        return 1
    try:  # accelerate launch --cpu starts one, whatever it is told
        text = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        text = ""
    told = re.search(r"accelerate.*\0--num_processes[=\0](\d+)", text)
    # in the shell of `srun --pty` a command is one process, whatever its step asked for
    known = [said(name) for name in ALONE if name != ALONE[0] or "SLURM_PTY_PORT" not in os.environ]
    return max(*known, int(told[1]) if told else 1)


def by_first(make: Callable[[], T]) -> T | None:
    """What the first process makes, there; None elsewhere, once it is made.

    Raises: Error everywhere, if the first process does.
    """
    made = problem = None
    if distributed.rank() == 0:
        try:
            made = make()
        except Error as found:
            problem = found
    if failed := distributed.gathered(problem)[0]:
        failed.shared = True
        raise failed
    return made


def by_first_alone(make: Callable[[], T]) -> T | None:
    """Of what would ask the others if it could: the first process makes it as if it were alone."""

    def apart() -> T:
        with distributed.alone():
            return make()

    return by_first(apart)


def first_before_all(make: Callable[[], T]) -> T:
    """What each process makes, the first one before the others: it fills the cache for them.

    Raises: Error everywhere, if the first process does.
    """
    made = by_first(make)
    return make() if made is None else made
