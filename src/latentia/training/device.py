"""The machine: device, precision, threads and the allocator."""

import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from latentia.core.errors import Error
from latentia.core.text import suggest_name

DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_PATTERN = re.compile(r"(cpu|cuda|mps)(:\d+)?")
DEVICE_ALIASES = {"gpu": "{}", "metal": "mps", "nvidia": "cuda", "rocm": "cuda"}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks: training frees and takes the same large ones every step.

    By default each is mapped and page-faulted anew, which costs up to two thirds of a step.
    The process then never returns memory, so only a command that trains does this.
    """
    set_option = find_mallopt()
    return bool(
        set_option and set_option(M_MMAP_MAX, 0) and set_option(M_TRIM_THRESHOLD, 2**31 - 1)
    )


def find_mallopt() -> Callable[[int, int], int] | None:
    """glibc's function that sets an option of its allocator; None without glibc, or where the
    environment says LATENTIA_MALLOPT=0."""
    if not sys.platform.startswith("linux") or os.environ.get("LATENTIA_MALLOPT") == "0":
        return None
    try:
        return ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # not glibc
        return None


@contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """Within, torch computes with this number of threads; None: with as many as before."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_device(name: str = "auto") -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not DEVICE_PATTERN.fullmatch(name):
        device_type, _, device_index = name.lower().partition(":")
        gpu = "mps" if sys.platform == "darwin" else "cuda"
        suggestion = suggest_name(
            DEVICE_ALIASES.get(device_type, device_type).format(gpu), DEVICES, " did you mean {}"
        )
        suggestion += (
            (f":{device_index}" if device_index.isdecimal() else "") + "?" if suggestion else ""
        )
        raise Error(
            f"--device {name} is no device;{suggestion} --device takes auto, cpu, cuda, cuda:1 (the "
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


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware: AVX512-BF16 or AMX, Ampere and later."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def find_precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if has_bf16(device) else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[name]
