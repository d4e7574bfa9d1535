"""Memory of this machine, and refusal of work that does not fit into it."""

import ctypes
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from latentia.core.errors import Error

MEMORY_TABLE = Path("/proc/meminfo")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # no number if there is no limit
FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
BYTES_PER_PIXEL = 12  # of a picture: float32 image, its enlarged tile, and the grid of all tiles


def find_available_memory() -> float:
    """Return the bytes that are free, or else all of the machine's; infinite if unknown."""
    limits = [math.inf]
    with suppress(OSError, ValueError, KeyError):  # Linux
        rows = dict(line.split(":") for line in MEMORY_TABLE.read_text("utf-8").splitlines())
        free = (rows[name].split()[0] for name in ("MemAvailable", "SwapFree"))
        limits.append(1024 * sum(map(int, free)))
    with suppress(OSError, ValueError):
        limits.append(int(CONTAINER_LIMIT.read_text("utf-8")))
    with suppress(OSError, ValueError, AttributeError):  # macOS
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(AttributeError):
        if sys.platform == "win32":
            kilobytes = ctypes.c_ulonglong()
            ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
            limits.append(1024 * kilobytes.value or math.inf)
    return min(limits)


def check_memory(n_bytes: float, subject: str, advice: str, limit: float | None = None) -> None:
    """Check the memory of an object before it is allocated.

    Raises: Error if it needs more bytes than `limit`, by default those that are free
    """
    limit = find_available_memory() if limit is None else limit
    if n_bytes > limit:
        raise make_memory_error(n_bytes, subject, advice, limit)


def make_memory_error(n_bytes: float, subject: str, advice: str, limit: float) -> Error:
    """Return an error that names the bytes needed and those that are free."""
    needed, free = (f"{each / 1e9:,.1f} GB" for each in (n_bytes, limit))
    needed = needed if n_bytes < 1e21 else "more than any machine has"
    return Error(f"{subject} needs {needed} of memory, and {free} are free here; {advice}.")


def check_picture_memory(n_images: int, shape: Sequence[int], option: str) -> None:
    """Raises: Error if images of this shape and their picture need more memory than is free."""
    n_bytes = BYTES_PER_PIXEL * n_images * math.prod(shape)
    check_memory(n_bytes, f"{option}: a picture of {n_images:,} images", f"lower {option}")


class AllocationGuard(TorchFunctionMode):
    """Context that allocates tensors on the meta device, which takes no memory, beyond a limit.

    The parameters of the modules made within it, and the next tensor, may have `limit` bytes.
    """

    def __init__(self, limit: float):
        super().__init__()
        self.limit, self.n_bytes, self.is_exceeded = limit, 0, False

    def __enter__(self) -> "AllocationGuard":
        self.hook = register_module_parameter_registration_hook(self.add_parameter)
        return super().__enter__()

    def __exit__(self, *problem: Any) -> None:
        self.hook.remove()
        super().__exit__(*problem)

    def add_parameter(self, module: nn.Module, name: str, parameter: Tensor | None) -> None:
        self.n_bytes += 0 if parameter is None else parameter.nbytes

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES:
            options = {**kwargs, "device": "meta", "generator": None}
            if func not in (torch.rand, torch.randn):
                del options["generator"]
            try:
                size = func(*args, **options).nbytes
            except (RuntimeError, TypeError) as problem:  # more bytes than an integer counts
                self.is_exceeded |= "verflow" in str(problem)
                raise
            if self.n_bytes + size > self.limit:
                self.is_exceeded, kwargs = True, options
        return func(*args, **kwargs)
