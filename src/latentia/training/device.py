"""Device, CPU threads and memory allocator of a process."""

import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from latentia.core.errors import Error
from latentia.core.memory import find_available_memory
from latentia.core.text import suggest_name

DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_PATTERN = re.compile(r"(cpu|cuda|mps)(:\d+)?")
DEVICE_ALIASES = {"gpu": "{}", "metal": "mps", "nvidia": "cuda", "rocm": "cuda"}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks, because every training step frees and takes the same ones.

    By default glibc maps and page-faults each block anew, which costs up to two thirds of a step.
    The process then never returns memory, so only a command that trains calls this.
    """
    mallopt = find_mallopt()
    return bool(mallopt and mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def find_mallopt() -> Callable[[int, int], int] | None:
    """Return glibc's `mallopt`; None without glibc, or with LATENTIA_MALLOPT=0."""
    with suppress(OSError, AttributeError):  # not glibc
        if os.environ.get("LATENTIA_MALLOPT") != "0":
            return ctypes.CDLL("libc.so.6").mallopt
    return None


@contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """Compute with this number of CPU threads inside the block; None changes nothing."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_device(name: str = "auto") -> torch.device:
    """Return the device of --device. Raises: Error if it does not exist, or not on this machine."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not DEVICE_PATTERN.fullmatch(name):
        kind, _, index = name.lower().partition(":")
        kind = DEVICE_ALIASES.get(kind, kind).format("mps" if sys.platform == "darwin" else "cuda")
        index = f":{index}" if index.isdecimal() else ""
        hint = suggest_name(kind, DEVICES, f" did you mean {{}}{index}?")
        raise Error(
            f"--device {name} is no device;{hint} --device takes auto, cpu, cuda, cuda:1 (the "
            "second GPU of several) or mps (a Mac's GPU)."
        )
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise Error(
            f"--device {name} cannot be used here ({str(error).splitlines()[0]}); use auto, which"
            " takes cuda where a GPU and a CUDA build of torch are present, or cpu."
        ) from None
    return device


def is_asynchronous(device: torch.device) -> bool:
    """Whether a device computes while Python goes on, so that reading a number means waiting."""
    return device.type != "cpu"


def find_device_memory(device: torch.device) -> float:
    """Return the bytes that are free on a device."""
    is_gpu = device.type == "cuda"
    return torch.cuda.mem_get_info(device)[0] if is_gpu else find_available_memory()
