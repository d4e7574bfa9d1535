"""Page of commands, from their signatures and help: `python docs/commands.py` writes it."""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_type_hints

PAGE = Path(__file__).parent / "reference" / "commands.md"
HEAD = """# Commands

Every command and every option. `latentia COMMAND --help` prints the same. Every command also takes
`--plugin FILE`, which loads [recipes, metrics and more of your own](../how-to/extend.md), and
`--trust-recipe`, which executes the recipe file that a [run](glossary.md#run) names
([security](../explanation/reproducibility.md#security)). The [glossary](glossary.md) explains the
terms. `docs/commands.py` writes this page from the commands.
"""
USAGE = re.compile(r"(latentia train RECIPE .*\])")  # its brackets are no link
TRAIN = """Each recipe has [parameters of its own](recipes.md), which stand before these options. A
modifier applies when its first option is given.
"""


def render_page() -> str:
    from latentia.cli.main import COMMANDS
    from latentia.cli.train_arguments import run_options
    from latentia.runs.modifiers import load_modifiers
    from latentia.training.plan import Options

    sections = [HEAD]
    for name, command in COMMANDS.items():
        summary = re.split(r"\n\n?Parameters\n-", inspect.getdoc(command) or "")[0].strip()
        summary = USAGE.sub(r"`\1`", summary)
        sections.append(f"## {name}\n\n{summary}\n")
        if name != "train":
            sections.append(format_table([command]))
            continue
        sections.append(f"{TRAIN}\n{format_table([run_options, Options])}")
        for modifier, function in load_modifiers().items():
            flag = modifier.replace("_", "-")
            first = (inspect.getdoc(function) or "").splitlines()[0]
            sections.append(f"### --{flag}\n\n{first}\n\n{format_table([function])}")
    return "\n".join(section.rstrip() + "\n" for section in sections)


def format_table(owners: Iterable[Callable[..., Any]]) -> str:
    rows = ["| option | meaning | default |", "|---|---|---|"]
    for owner in owners:
        rows += [" | ".join(["", *row, ""]).strip() for row in list_rows(owner)]
    return "\n".join(rows) if len(rows) > 2 else ""


def list_rows(owner: Callable[..., Any]) -> Iterable[list[str]]:
    """Option with its placeholder, help, and default of each parameter of a command."""
    from latentia.cli.arguments import list_docs, list_parameters, make_options, read_hints

    hints, names = read_hints(owner), list_parameters(owner)
    for name in names:
        parameter = inspect.signature(owner).parameters[name]
        hint = get_type_hints(make_options(owner, [name]), include_extras=True)[name]
        marks = hint.__metadata__
        flag = f"--{name.rstrip('_').replace('_', '-')}"
        if "Positional" in str(marks) or "Positional" in str(hint):
            flag = ""
        metavar = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), "")
        is_switch = isinstance(parameter.default, bool)
        option = " ".join(word for word in (flag, "" if is_switch else metavar) if word)
        text = list_docs(hints[name])[0]
        yield [f"`{escape(option)}`", escape(text), escape(format_default(parameter, text))]


def format_default(parameter: inspect.Parameter, text: str) -> str:
    """Return the default; nothing if it leaves the option out, or if the help names it."""
    default = parameter.default
    if default is parameter.empty:
        return "required"
    is_off = default is None or default is False or default == ()
    return "" if is_off or "default" in text else "on" if default is True else str(default)


def escape(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(render_page())
