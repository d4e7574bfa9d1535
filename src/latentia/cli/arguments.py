"""Words of the command line: their checks, and the options that tyro makes of a signature."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.core.parameters import describe_types, format_unknown_parameter, list_types
from latentia.training.parameter_types import Metavar

METAVARS = {int: "N", float: "FLOAT", str: "TEXT", Path: "FILE"}  # where an option names no other
SECTION = "\n\nParameters\n----------\n"
PARAMETER = re.compile(r"^(\w+)(?: : (.+))?\n((?:    .+\n?)+)", re.M)


def parse_arguments(command: Callable, words: list[str]) -> dict[str, Any]:
    """Arguments of a command by name. Its keyword-only parameters are its advanced options."""
    program, usual = f"latentia {command.__name__}", list_parameters(command, advanced=False)
    advanced = list_parameters(command, advanced=True)
    refuse_unknown(program, words, [name.rstrip("_") for name in [*usual, *advanced]])
    refuse_unreadable(words, read_hints(command))
    groups = {"advanced": make_options(command, advanced)} if advanced else {}
    return parse_groups(make_options(command, usual), groups, command, program, words)


def parse_groups(
    main: type, groups: Mapping[str, type], command: Callable, program: str, words: list[str]
) -> dict[str, Any]:
    """Values of the options by name; --help shows each group in a box of its own."""
    fields = [(name, tyro.conf.OmitArgPrefixes[group]) for name, group in groups.items()]
    whole = dataclasses.make_dataclass("Command", fields, bases=(main,), kw_only=True)
    values = dict(vars(tyro.cli(whole, args=words, **_describe(command, program))))
    for group in [values.pop(name) for name in groups]:
        values |= vars(group)
    return values


def parse_known(
    command: Callable, program: str, words: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Values of a command's options by name, and the words that belong to none of them."""
    options, about = make_options(command, list_parameters(command)), _describe(command, program)
    values, rest = tyro.cli(options, args=words, return_unknown_args=True, **about)
    return vars(values), rest


def _describe(command: Callable, program: str) -> dict[str, Any]:
    about = (inspect.getdoc(command) or "").partition(SECTION)[0]
    return {"prog": program, "description": about, "use_underscores": False}


def list_parameters(function: Callable, advanced: bool | None = None) -> list[str]:
    """Names of the parameters but a modifier's plan; advanced: the keyword-only ones, or not."""
    return [
        name
        for name, each in inspect.signature(function).parameters.items()
        if name != "plan" and advanced in (None, each.kind is each.KEYWORD_ONLY)
    ]


def read_hints(function: Callable) -> dict[str, Any]:
    """Type hints, with metavars and help from the section Parameters of the docstring."""
    hints = get_type_hints(function, include_extras=True)
    section = (inspect.getdoc(function) or "").partition(SECTION)[2]
    for name, metavar, text in PARAMETER.findall(section):
        if name in hints:  # other sections look alike
            marks = [Metavar(metavar)] if metavar else []
            hints[name] = Annotated[(hints[name], *marks, Doc(" ".join(text.split())))]
    return hints


def make_options(function: Callable, names: Iterable[str], switch: str = "") -> type:
    """A dataclass of some parameters of a function; `switch` is off by default."""
    hints, fields = read_hints(function), []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in names:
            continue
        default = None if name == switch else parameter.default
        hint = hints.get(name, str if default is None else type(default))
        base, *about = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        base = str if base is Any else base  # data: on the command line, a word
        metavar = next((each.text for each in about if isinstance(each, Metavar)), None)
        display = tyro.conf.arg(
            metavar=metavar or _make_metavar(base),
            help_behavior_hint=_describe_default(hint, default),
        )
        base = base | None if default is None else base
        field = dataclasses.MISSING if default is parameter.empty else default
        hint = Annotated[(base, display, *about)]
        fields.append((name, hint, dataclasses.field(default=field)))
    return dataclasses.make_dataclass(function.__name__, fields, kw_only=True)


def _make_metavar(hint: Any) -> str | None:
    kinds = list_types(hint)
    names = [f"{{{','.join(map(str, get_args(k)))}}}" for k in kinds if get_origin(k) is Literal]
    names += [METAVARS[k] for k in kinds if k in METAVARS]
    return "|".join(names) or None


def _describe_default(hint: Any, default: Any) -> str:
    """The default, unless it is to leave the option out or the help names it in words."""
    if default is inspect.Parameter.empty:
        return "(required)"
    if default is True:
        return "(on by default)"
    hidden = default is None or default is False or default == ()
    if hidden or any("default" in text for text in list_docs(hint)):
        return ""
    return f"(default: {default:g})" if isinstance(default, float) else f"(default: {default})"


def refuse_unknown(owner: str, words: list[str], known: list[str]) -> None:
    """Check the names of all options among the words.

    Raises: Error for the first that `known` lacks, with the name that is nearest to it.
    """
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name.removeprefix("no_") not in [*known, "help"]:
            raise Error(format_unknown_parameter(owner, name, known))


def refuse_unreadable(words: list[str], hints: Mapping[str, Any]) -> None:
    """Check the values of options that take numbers or one of several names.

    hints: type hints by parameter name; options of other types are left to the parser.

    Raises: Error for the first value of another type.
    """
    for word, after in zip(words, [*words, ""][1:], strict=True):
        flag, same, value = word.partition("=")
        hint = hints.get(flag.removeprefix("--").replace("-", "_")) if flag[:2] == "--" else None
        kinds = list_types(hint)
        own = [k for k in kinds if k in (int, float, type(None)) or get_origin(k) is Literal]
        value = value if same else after
        if own == kinds and not any(_is_readable(kind, value) for kind in kinds):
            allowed = " or ".join(describe_types(hint)).removesuffix(" or None")
            about = next((f" ({text})" for text in list_docs(hint)), "")
            given = f"is {value}" if value else "has no value"
            raise Error(f"{flag} {given}; it must be {allowed}{about}.")


def require_at_least(flag: str, value: int | None, least: int) -> None:
    """Raises: Error if a value is given and is less."""
    if value is not None and value < least:
        raise Error(f"{flag} is {value}; it must be at least {least}.")


def _is_readable(kind: Any, word: str) -> bool:
    if kind in (int, float):
        try:
            kind(word)
        except ValueError:
            return False
        return True
    return word in (["None"] if kind is type(None) else [str(each) for each in get_args(kind)])


def list_docs(hint: Any) -> list[str]:
    """Help texts of a type hint."""
    found = [m.documentation for m in getattr(hint, "__metadata__", ()) if isinstance(m, Doc)]
    return found + [each for part in get_args(hint) for each in list_docs(part)]
