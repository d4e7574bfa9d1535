"""What is installed and what a training would run on, by the standard library where it can."""

import importlib
import os
import platform
import re
import shutil
import textwrap
from importlib import metadata
from typing import Any, NamedTuple

BASE_GROUP = "latentia"  # what is needed always; the others are extras
DEVICE_MODULE = "latentia.training.device"


class Library(NamedTuple):
    """version: what is installed, None: nothing; fits: whether it is new enough."""

    name: str
    requirement: str
    version: str | None
    is_satisfied: bool

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.name}{self.requirement} is missing"
        return f"{self.name} {self.version}" + (
            "" if self.is_satisfied else f" is not {self.requirement}"
        )


def describe_environment() -> dict[str, Any]:
    """libraries: by extra; here: what is chosen and why, by subject."""
    return {
        "latentia": metadata.version("latentia"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "libraries": check_libraries(metadata.requires("latentia") or []),
        "here": describe_settings(),
    }


def check_libraries(requirements: list[str]) -> dict[str, list[Library]]:
    by_group: dict[str, list[Library]] = {BASE_GROUP: []}
    for line in requirements:
        name, requirement = re.match(r"([\w.-]+)(?:\[.*?\])?\s*([^;]*)", line).groups()  # pyright: ignore
        extra = re.search(r"extra == ['\"](\w+)", line)
        by_group.setdefault(extra[1] if extra else BASE_GROUP, []).append(
            check_library(name, requirement.strip())
        )
    return by_group


def check_library(name: str, requirement: str) -> Library:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Library(name, requirement, None, False)
    minimum = re.search(r">=([\d.]+)", requirement)
    return Library(
        name,
        requirement,
        version,
        not minimum or parse_version(version) >= parse_version(minimum[1]),
    )


def parse_version(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def describe_settings() -> dict[str, str]:
    """What a training would take, and why."""
    settings = {}
    for describe in (device, precision, threads, memory, cache):
        try:
            settings[describe.__name__] = describe()
        except Exception as problem:  # whatever is missing or broken: that is what was asked
            settings[describe.__name__] = (
                f"unknown: {(str(problem) or repr(problem)).splitlines()[0]}"
            )
    return settings | {"compile": "off: torch.compile gains nothing on a CPU once the above is in"}


def device() -> str:
    torch, selected_device = (
        importlib.import_module("torch"),
        importlib.import_module(DEVICE_MODULE).find_device(),
    )
    if selected_device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(selected_device)}"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"cpu: torch {torch.__version__} is built without GPUs"
    return f"cpu: torch {torch.__version__} finds no GPU, or no driver for it"


def precision() -> str:
    device_module = importlib.import_module(DEVICE_MODULE)
    if device_module.has_bf16(device_module.find_device()):
        return "bf16: this device multiplies it in hardware; losses are float32 (--precision fp32)"
    return "fp32: this device has no bf16 in hardware"


def threads() -> str:
    n_threads, cores = importlib.import_module("torch").get_num_threads(), os.cpu_count()
    environment_values = {
        name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ
    }
    reason = ", ".join(f"{k}={v}" for k, v in environment_values.items()) or "one a core"
    return f"{n_threads}: {reason}, of {cores} processors (--threads)"


def memory() -> str:
    if importlib.import_module(DEVICE_MODULE).find_mallopt():
        return "commands that train keep freed blocks: glibc's mallopt (LATENTIA_MALLOPT=0: not)"
    is_disabled = os.environ.get("LATENTIA_MALLOPT") == "0"
    return "as the system does: " + (
        "LATENTIA_MALLOPT=0" if is_disabled else "its allocator is not glibc's"
    )


def cache() -> str:
    path = importlib.import_module("latentia.data.cache").root()
    existing_path = next(folder for folder in (path, *path.parents) if folder.exists())
    disk = shutil.disk_usage(existing_path)
    return f"{path}, {disk.free / 1e9:,.0f} GB free of {disk.total / 1e9:,.0f}"


def format_environment(environment: dict[str, Any]) -> str:
    """One screen."""
    base_group, *extra_groups = environment["libraries"].items()
    rows = [("needed", format_libraries(base_group[1]))]
    for name, members in sorted(extra_groups):
        install_hint = (
            "" if all(x.is_satisfied for x in members) else f': pip install "latentia[{name}]"'
        )
        rows += [(f"[{name}]", format_libraries(members) + install_hint)]
    header = f"latentia {environment['latentia']}, Python {environment['python']}, {environment['platform']}"
    return "\n".join(
        [header, "", *map(format_row, rows), "", *map(format_row, environment["here"].items())]
    )


def format_row(entry: tuple[str, str]) -> str:
    margin = " " * 13
    return textwrap.fill(
        entry[1], 100, initial_indent=f"  {entry[0]:<11}", subsequent_indent=margin
    )


def format_libraries(libraries: list[Library]) -> str:
    unmet = [str(member) for member in libraries if not member.is_satisfied]
    return "; ".join(unmet) if unmet else ", ".join(map(str, libraries))


def is_complete(environment: dict[str, Any]) -> bool:
    """Whether what is needed always is there."""
    return all(each.is_satisfied for each in environment["libraries"][BASE_GROUP])


if __name__ == "__main__":  # for an environment in which the command itself cannot start
    print(format_environment(describe_environment()))
