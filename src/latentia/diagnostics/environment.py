"""Report of the environment, by the standard library where it can be: libraries, device, cache."""

import importlib
import os
import platform
import re
import shutil
import textwrap
from importlib import metadata
from typing import Any, NamedTuple

BASE_GROUP = "latentia"  # libraries that latentia always needs; the other groups are extras
DEVELOPER_EXTRA = "test"  # counted, not listed, where nothing is missing: users have no need of it


class Library(NamedTuple):
    """version: the installed one, None if missing; is_satisfied: whether it is new enough."""

    name: str
    requirement: str
    version: str | None
    is_satisfied: bool

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.name}{self.requirement} is missing"
        problem = "" if self.is_satisfied else f" is not {self.requirement}"
        return f"{self.name} {self.version}{problem}"


def describe_environment() -> dict[str, Any]:
    """Return versions, the libraries by extra, and the settings of a training with reasons."""
    return {
        "latentia": metadata.version("latentia"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "libraries": check_libraries(metadata.requires("latentia") or []),
        "here": describe_settings(),
        "milliseconds": list_timings(),
    }


def check_libraries(requirements: list[str]) -> dict[str, list[Library]]:
    groups: dict[str, list[Library]] = {BASE_GROUP: []}
    for line in requirements:
        name, requirement = re.match(r"([\w.-]+)(?:\[.*?\])?\s*([^;]*)", line).groups()  # pyright: ignore
        extra = re.search(r"extra == ['\"](\w+)", line)
        library = check_library(name, requirement.strip())
        groups.setdefault(extra[1] if extra else BASE_GROUP, []).append(library)
    return groups


def check_library(name: str, requirement: str) -> Library:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Library(name, requirement, None, False)
    installed = parse_version(version)
    least, exact = (re.search(rf"{sign}([\d.]+)", requirement) for sign in (">=", "=="))
    is_satisfied = (not least or installed >= parse_version(least[1])) and (
        not exact or installed == parse_version(exact[1])
    )
    return Library(name, requirement, version, is_satisfied)


def parse_version(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def describe_settings() -> dict[str, str]:
    """Return the settings that a training would have on this machine, with reasons."""
    settings = {}
    for name, describe in DESCRIPTIONS.items():
        try:
            settings[name] = describe()
        except Exception as problem:  # a missing or broken library is a result here
            settings[name] = f"unknown: {(str(problem) or repr(problem)).splitlines()[0]}"
    return settings


def describe_device() -> str:
    torch, device = importlib.import_module("torch"), _find_device()
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"cpu: torch {torch.__version__} is built without GPUs"
    return f"cpu: torch {torch.__version__} finds no GPU, or no driver for it"


def describe_precision() -> str:
    precision, device = _import_own("training.precision"), _find_device()
    if device.type == "cpu":
        texts = [
            f"{kind} {timing.fp32:.2f}/{timing.bf16:.2f} ms = {timing.speedup:.2f}, {timing.choice}"
            for kind, timing in precision.get_timings().items()
        ]
        return f"fp32/bf16: {'; '.join(texts)}"
    if precision.has_bf16(device):
        return "bf16: this device multiplies it in hardware; losses are float32 (--precision fp32)"
    return "fp32: this device has no bf16 in hardware"


def list_timings() -> dict[str, dict[str, Any]]:
    """Return the timings behind the choice of precision; none on a GPU, or without torch."""
    try:
        is_cpu = _find_device().type == "cpu"
        timings = _import_own("training.precision").get_timings() if is_cpu else {}
    except Exception:  # `describe_settings` gives the reason
        return {}
    pairs = timings.items()
    return {k: {**t._asdict(), "speedup": t.speedup, "auto": t.choice} for k, t in pairs}


def describe_threads() -> str:
    n_threads, value = importlib.import_module("torch").get_num_threads(), "OMP_NUM_THREADS"
    reason = f"{value}={os.environ[value]}" if value in os.environ else "one per core"
    return f"{n_threads}: {reason}, of {os.cpu_count()} processors (--threads)"


def describe_memory() -> str:
    if _import_own("training.device").find_mallopt():
        return "training commands keep freed blocks by glibc's mallopt (LATENTIA_MALLOPT=0: off)"
    is_off = os.environ.get("LATENTIA_MALLOPT") == "0"
    reason = "LATENTIA_MALLOPT=0" if is_off else "its allocator is not glibc's"
    return f"the system's default: {reason}"


def describe_cache() -> str:
    path = _import_own("data.cache").cache_root()
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    disk = shutil.disk_usage(folder)
    return f"{path}, {disk.free / 1e9:,.0f} GB free of {disk.total / 1e9:,.0f}"


DESCRIPTIONS = {
    "device": describe_device,
    "precision": describe_precision,
    "threads": describe_threads,
    "memory": describe_memory,
    "cache": describe_cache,
    "compile": lambda: "off: on a CPU, torch.compile is not faster than these settings",
}


def _import_own(name: str) -> Any:
    return importlib.import_module(f"latentia.{name}")


def _find_device() -> Any:
    return _import_own("training.device").find_device()


def format_environment(environment: dict[str, Any]) -> str:
    base, *extras = environment["libraries"].items()
    rows = [("needed", format_libraries(base[1]))]
    for name, libraries in sorted(extras):
        is_satisfied = all(library.is_satisfied for library in libraries)
        hint = "" if is_satisfied else f': pip install "latentia[{name}]"'
        text = format_libraries(libraries) + hint
        if name == DEVELOPER_EXTRA and is_satisfied:
            text = f"all {len(libraries)} libraries are installed"
        rows += [(f"[{name}]", text)]
    versions = f"Python {environment['python']}, {environment['platform']}"
    settings = map(format_row, environment["here"].items())
    header = f"latentia {environment['latentia']}, {versions}"
    return "\n".join([header, "", *map(format_row, rows), "", *settings])


def format_row(row: tuple[str, str]) -> str:
    first, rest = f"  {row[0]:<11}", " " * 13
    return textwrap.fill(row[1], 100, initial_indent=first, subsequent_indent=rest)


def format_libraries(libraries: list[Library]) -> str:
    unmet = [str(library) for library in libraries if not library.is_satisfied]
    return "; ".join(unmet) if unmet else ", ".join(map(str, libraries))


def is_complete(environment: dict[str, Any]) -> bool:
    return all(library.is_satisfied for library in environment["libraries"][BASE_GROUP])


if __name__ == "__main__":  # for an environment in which the command itself cannot start
    print(format_environment(describe_environment()))
