"""What is installed and what a training would run on, by the standard library where it can."""

import importlib
import os
import platform
import re
import shutil
import textwrap
from importlib import metadata
from typing import Any, NamedTuple

BASE = "latentia"  # what is needed always; the others are extras
ENGINE = "latentia.training.device"


class Library(NamedTuple):
    """version: what is installed, None: nothing; fits: whether it is new enough."""

    name: str
    wanted: str
    version: str | None
    fits: bool

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.name}{self.wanted} is missing"
        return f"{self.name} {self.version}" + ("" if self.fits else f" is not {self.wanted}")


def installation() -> dict[str, Any]:
    """libraries: by extra; here: what is chosen and why, by subject."""
    return {
        "latentia": metadata.version("latentia"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "libraries": libraries(metadata.requires("latentia") or []),
        "here": here(),
    }


def libraries(required: list[str]) -> dict[str, list[Library]]:
    found: dict[str, list[Library]] = {BASE: []}
    for line in required:
        name, wanted = re.match(r"([\w.-]+)(?:\[.*?\])?\s*([^;]*)", line).groups()  # pyright: ignore
        extra = re.search(r"extra == ['\"](\w+)", line)
        found.setdefault(extra[1] if extra else BASE, []).append(library(name, wanted.strip()))
    return found


def library(name: str, wanted: str) -> Library:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Library(name, wanted, None, False)
    least = re.search(r">=([\d.]+)", wanted)
    return Library(name, wanted, version, not least or numbers(version) >= numbers(least[1]))


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def here() -> dict[str, str]:
    """What a training would take, and why."""
    found = {}
    for ask in (device, precision, threads, memory, cache):
        try:
            found[ask.__name__] = ask()
        except Exception as problem:  # whatever is missing or broken: that is what was asked
            found[ask.__name__] = f"unknown: {(str(problem) or repr(problem)).splitlines()[0]}"
    return found | {"compile": "off: torch.compile gains nothing on a CPU once the above is in"}


def device() -> str:
    torch, ours = importlib.import_module("torch"), importlib.import_module(ENGINE).find_device()
    if ours.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(ours)}"
    if torch.version.cuda is None and torch.version.hip is None:
        return f"cpu: torch {torch.__version__} is built without GPUs"
    return f"cpu: torch {torch.__version__} finds no GPU, or no driver for it"


def precision() -> str:
    ours = importlib.import_module(ENGINE)
    if ours.has_bf16(ours.find_device()):
        return "bf16: this device multiplies it in hardware; losses are float32 (--precision fp32)"
    return "fp32: this device has no bf16 in hardware"


def threads() -> str:
    many, cores = importlib.import_module("torch").get_num_threads(), os.cpu_count()
    asked = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    why = ", ".join(f"{k}={v}" for k, v in asked.items()) or "one a core"
    return f"{many}: {why}, of {cores} processors (--threads)"


def memory() -> str:
    if importlib.import_module(ENGINE).find_mallopt():
        return "commands that train keep freed blocks: glibc's mallopt (LATENTIA_MALLOPT=0: not)"
    off = os.environ.get("LATENTIA_MALLOPT") == "0"
    return "as the system does: " + (
        "LATENTIA_MALLOPT=0" if off else "its allocator is not glibc's"
    )


def cache() -> str:
    path = importlib.import_module("latentia.data.cache").root()
    there = next(each for each in (path, *path.parents) if each.exists())
    disk = shutil.disk_usage(there)
    return f"{path}, {disk.free / 1e9:,.0f} GB free of {disk.total / 1e9:,.0f}"


def shown(found: dict[str, Any]) -> str:
    """One screen."""
    base, *extras = found["libraries"].items()
    rows = [("needed", told(base[1]))]
    for name, each in sorted(extras):
        cure = "" if all(x.fits for x in each) else f': pip install "latentia[{name}]"'
        rows += [(f"[{name}]", told(each) + cure)]
    head = f"latentia {found['latentia']}, Python {found['python']}, {found['platform']}"
    return "\n".join([head, "", *map(row, rows), "", *map(row, found["here"].items())])


def row(pair: tuple[str, str]) -> str:
    margin = " " * 13
    return textwrap.fill(pair[1], 100, initial_indent=f"  {pair[0]:<11}", subsequent_indent=margin)


def told(libraries: list[Library]) -> str:
    wrong = [str(each) for each in libraries if not each.fits]
    return "; ".join(wrong) if wrong else ", ".join(map(str, libraries))


def whole(found: dict[str, Any]) -> bool:
    """Whether what is needed always is there."""
    return all(each.fits for each in found["libraries"][BASE])


if __name__ == "__main__":  # for an environment in which the command itself cannot start
    print(shown(installation()))
