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
TASK_COUNT_VARIABLES = (
    "SLURM_STEP_NUM_TASKS",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
)  # srun, mpirun, mpiexec
# How long one waits for the others, which may be long for a reason: the first decodes, or measures
# by itself. Not for those that are gone: a closed connection is seen at once, whatever this is.
TIMEOUT = timedelta(days=1)


@contextmanager
def init_distributed() -> Iterator[None]:
    """Within, the processes of one launch know each other.

    Raises: Error if several were asked for and this is the only one.
    """
    n_requested = count_requested_processes()
    world_size = env_int("WORLD_SIZE")
    n_nodes = env_int("GROUP_WORLD_SIZE", 0)  # as torchrun was told
    if 0 < n_nodes < (n_tasks := env_int("SLURM_STEP_NUM_TASKS")):
        raise Error(
            f"srun started torchrun {n_tasks} times and this one knows of {n_nodes}: each would "
            f"train alone. Give torchrun --nnodes {n_tasks} and a common --rdzv_endpoint, as in "
            "docs/train.sbatch."
        )
    if n_requested > 1 and world_size == 1:
        raise Error(
            f"{n_requested} processes were asked for and this one is alone; start them with torchrun "
            f"--nproc_per_node {n_requested} -m -- latentia train ..., on a CPU too."
        )
    if world_size == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(env_int("LOCAL_RANK", 0) % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except ValueError as error:
        raise Error(
            f"{world_size} processes are announced, but they cannot meet ({error}); start them with "
            "torchrun."
        ) from None
    try:
        yield
    except Error as error:
        if not error.on_all_ranks and not error.rank_local and (rank := distributed.rank()):
            error.rank_local, error.args = True, (f"Process {rank} of {world_size}: {error}",)
        raise
    finally:
        dist.destroy_process_group()


def env_int(name: str, default: int = 1) -> int:
    """A number that the launcher put into the environment; some leave it empty."""
    return int(os.environ.get(name) or default)


def count_requested_processes() -> int:
    """How many processes the launcher was told to start, where it does not say who each is."""
    if os.environ.get("WORLD_SIZE"):
        return 1
    try:  # accelerate launch --cpu starts one, whatever it is told
        command_line = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        command_line = ""
    match = re.search(r"accelerate.*\0--num_processes[=\0](\d+)", command_line)
    # in the shell of `srun --pty` a command is one process, whatever its step asked for
    task_counts = [
        env_int(name)
        for name in TASK_COUNT_VARIABLES
        if name != TASK_COUNT_VARIABLES[0] or "SLURM_PTY_PORT" not in os.environ
    ]
    return max(*task_counts, int(match[1]) if match else 1)


def run_on_rank0(make: Callable[[], T]) -> T | None:
    """What the first process makes, there; None elsewhere, once it is made.

    Raises: Error everywhere, if the first process does.
    """
    result = error = None
    if distributed.rank() == 0:
        try:
            result = make()
        except Error as exception:
            error = exception
    if rank0_error := distributed.all_gather_objects(error)[0]:
        rank0_error.on_all_ranks = True
        raise rank0_error
    return result


def run_on_rank0_without_collectives(make: Callable[[], T]) -> T | None:
    """Of what would ask the others if it could: the first process makes it as if it were alone."""

    def make_locally() -> T:
        with distributed.local_only():
            return make()

    return run_on_rank0(make_locally)


def rank0_first(make: Callable[[], T]) -> T:
    """What each process makes, the first one before the others: it fills the cache for them.

    Raises: Error everywhere, if the first process does.
    """
    result = run_on_rank0(make)
    return make() if result is None else result
