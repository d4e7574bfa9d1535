"""Where a run was made: versions and hardware that the bits of a result depend on."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from latentia.core import distributed
from latentia.runs.recipes import resolve_parameters


def describe_machine() -> dict[str, Any]:
    """For run.json; a resume compares it with what is there then."""
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
    """What changed since the run of this run.json began and may change bits."""
    now, then = describe_machine(), {"processes": 1, **metadata["machine"]}
    differences = [f"{k}: {then.get(k)} then, {v} now" for k, v in now.items() if then.get(k) != v]
    parameters = resolve_parameters(metadata["recipe"], {})
    added = [name for name in parameters if name not in metadata["arguments"]]
    return differences + [
        f"--{name.replace('_', '-')}: unknown then, {parameters[name]} now" for name in added
    ]


def _read_commit() -> str | None:
    """The commit of a source checkout; None for an installed package."""
    try:
        folder = Path(__file__).parent
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        return result.stdout.strip() or None
    except (OSError, subprocess.TimeoutExpired):
        return None
