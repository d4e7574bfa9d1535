"""Commands of the shell and calls of Python, as text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latentia.core.plugins import list_plugin_words
from latentia.core.text import join_command
from latentia.data.sources.registry import SourceKind
from latentia.runs.folder import RunFolder


class Name(NamedTuple):
    """A variable of the user, in a call."""

    name: str

    def __repr__(self) -> str:
        return self.name


DATA, LABELS = Name("data"), Name("labels")  # the user's images and labels in memory


def format_command(*arguments: str, data: Sequence[str] = ()) -> str:
    """Format a command. data: the new address of the images, if they have moved."""
    flags = ["--data", *data] if data else []
    return join_command([*arguments, *flags, *list_plugin_words()])


def format_call(function: str, *arguments: Any, **keywords: Any) -> str:
    """Format a call of latentia in Python."""
    words = [format_value(each) for each in arguments]
    words += [f"{name}={format_value(value)}" for name, value in keywords.items()]
    return f"latentia.{function}({', '.join(words)})"


def format_value(value: Any) -> str:
    """Format text in double quotes, as `latentia` does, and numbers without rounding errors."""
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return repr(float(f"{value:.10g}") if isinstance(value, float) else value)


def format_flags(values: Mapping[str, Any]) -> list[str]:
    """Format values as options of the command line."""
    flags = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            word = f"{value:.10g}" if isinstance(value, float) else str(value)
            flags += [f"--{flag}={word}"] if word.startswith("-") else [f"--{flag}", word]
    return flags


def format_fit(request: Mapping[str, Any], run: Path) -> str:
    """Format the command of a fit in this folder; request: as fit.json has it."""
    values = {**request, "run": str(run)}
    return format_command("latentia", "fit", values.pop("data"), *format_flags(values))


def format_resume_call(run: RunFolder) -> str:
    """Format the call of Python that resumes a run."""
    data = [DATA] if run.metadata["images"]["kind"] == SourceKind.MEMORY else []
    return format_call("resume", run.path, *data, **name_labels(run))


def name_labels(run: RunFolder) -> dict[str, Any]:
    """Return the argument `labels` of a run whose labels were in memory."""
    source = run.metadata["images"].get("label_source")
    return {"labels": LABELS} if source == SourceKind.MEMORY else {}
