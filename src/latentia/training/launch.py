"""Start of distributed training, from the environment variables that torchrun sets."""

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
TASK_COUNTS = {  # variable -> the command that sets it
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpiexec",
}
# Rank 0 may decode images or compute metrics for hours while the others wait. A process that has
# died is noticed at once, by its closed connection.
TIMEOUT = timedelta(days=1)


@contextmanager
def init_distributed() -> Iterator[None]:
    """Connect the processes of one launch inside the block.

    Raises: Error if the launcher was to start several processes and this is the only one.
    """
    n_requested = count_requested_processes()
    world_size = env_int("WORLD_SIZE")
    n_nodes = env_int("GROUP_WORLD_SIZE", 0)  # torchrun's --nnodes
    if 0 < n_nodes < (n_tasks := env_int("SLURM_STEP_NUM_TASKS")):
        raise Error(
            f"srun started torchrun {n_tasks} times and this one knows of {n_nodes}: each would "
            f"train alone. Give torchrun --nnodes {n_tasks} and a common --rdzv_endpoint, as in "
            "docs/train.sbatch."
        )
    if n_requested > 1 and world_size == 1:
        raise Error(
            f"{n_requested} processes were requested, but only one runs; start them with "
            f"torchrun --nproc_per_node {n_requested} -m -- latentia train ..., on a CPU too."
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
        raise Error(f"The {world_size} processes cannot connect ({error}); use torchrun.") from None
    try:
        yield
    except Error as error:
        if not error.on_all_ranks and not error.rank_local and (rank := distributed.rank()):
            error.rank_local, error.args = True, (f"Process {rank} of {world_size}: {error}",)
        raise
    finally:
        dist.destroy_process_group()


def env_int(name: str, default: int = 1) -> int:
    """Read a number from the environment; an empty variable counts as missing."""
    text = os.environ.get(name) or str(default)
    try:
        return int(text)
    except ValueError:
        advice = "give a whole number, or remove it"
        raise Error(f"The environment variable {name} is {text!r}; {advice}.") from None


def count_requested_processes() -> int:
    """Number of processes requested from a launcher that gives no rank to each; else 1."""
    if os.environ.get("WORLD_SIZE"):
        return 1
    try:  # accelerate launch --cpu starts one process, whatever number it is given
        command_line = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        command_line = ""
    match = re.search(r"accelerate.*\0--num_processes[=\0](\d+)", command_line)
    # in the shell of `srun --pty` a command is one process, whatever its step asked for
    ignored = {"srun"} if "SLURM_PTY_PORT" in os.environ else set()
    counts = [env_int(name) for name, command in TASK_COUNTS.items() if command not in ignored]
    return max(*counts, int(match[1]) if match else 1)


def run_on_rank0(make: Callable[[], T]) -> T | None:
    """Run `make` on rank 0 while the others wait; returns its result there, None elsewhere.

    Raises: Error on all ranks if rank 0 raises one.
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
    """Run `make` on rank 0 with collectives disabled."""
    return run_on_rank0(distributed.local_only()(make))


def rank0_first(make: Callable[[], T]) -> T:
    """Run `make` on rank 0 and then on the others, which find the cache filled.

    Raises: Error on all ranks if rank 0 raises one.
    """
    result = run_on_rank0(make)
    return make() if result is None else result
