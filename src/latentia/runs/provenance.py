"""Where a run was made: versions and hardware that the bits of a result depend on."""

import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from latentia.core import distributed
from latentia.runs.recipes import resolve_parameters


def describe_machine() -> dict[str, Any]:
    """Return the versions and the hardware, for run.json."""
    return {
        "latentia": version("latentia"),
        "commit": _read_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(terse=True),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "processes": distributed.world_size(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def list_differences(metadata: dict[str, Any]) -> list[str]:
    """List changes since a run began that may change its bits: machine, versions, parameters."""
    now, before = describe_machine(), {"processes": 1, **metadata["machine"]}
    changes = [f"{k}: {before.get(k)} then, {v} now" for k, v in now.items() if before.get(k) != v]
    for name, value in resolve_parameters(metadata["recipe"], {}).items():
        if name not in metadata["arguments"]:
            changes.append(f"--{name.replace('_', '-')}: unknown then, {value} now")
    return changes


@cache  # git takes 12 ms of processor time
def _read_commit() -> str | None:
    """Return the commit of a source checkout; None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    with suppress(OSError, subprocess.TimeoutExpired):
        result = subprocess.run(command, capture_output=True, timeout=5, check=False)
        return result.stdout.decode(errors="replace").strip() or None
    return None
