"""Arguments of a command: options that tyro makes of a signature, and checks of their values."""

import dataclasses
import inspect
import io
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro
from typing_extensions import Doc
from tyro.constructors import PrimitiveConstructorSpec

from latentia.core.errors import Error
from latentia.core.parameters import (
    PARAMETERS_SECTION,
    describe_plugins,
    describe_types,
    find_registry,
    format_unknown_parameter,
    is_in_range,
    list_types,
)
from latentia.core.text import Metavar

METAVARS = {int: "N", float: "FLOAT", str: "TEXT", Path: "FILE"}  # where an option names no other
PLUGIN_HELP = "Before all else, --plugin FILE loads recipes, metrics and more of your own."
# text that may be left out: tyro would take the word None for no value, and it may be a class
TEXTS = {
    kind: PrimitiveConstructorSpec(
        nargs=1,
        metavar=METAVARS[kind],
        instance_from_str=lambda words, kind=kind: kind(words[0]),
        is_instance=lambda value, kind=kind: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )
    for kind in (str, Path)
}
SUMMARY_END = re.compile(r"[;:.] | \(default")  # of the help of an option
PARAMETER = re.compile(r"^(\w+)(?: : (.+))?\n((?:    .+\n?)+)", re.M)


def parse_arguments(command: Callable, words: list[str]) -> dict[str, Any]:
    """Parse the words of a command; its keyword-only parameters are its advanced options."""
    program, basic = f"latentia {command.__name__}", list_parameters(command, advanced=False)
    advanced = list_parameters(command, advanced=True)
    names = [name.rstrip("_") for name in [*basic, *advanced]]
    check_option_names(program, words, names, program)
    check_option_values(words, read_hints(command))
    groups = {"advanced": make_options(command, advanced)} if advanced else {}
    return parse_groups(make_options(command, basic), groups, command, program, words)


def parse_groups(
    main: type, groups: Mapping[str, type], command: Callable, program: str, words: list[str]
) -> dict[str, Any]:
    """Parse options of several dataclasses; --help shows each group in a box of its own."""
    fields = [
        # an empty help, or tyro reads the source of a module in search of one
        (name, tyro.conf.OmitArgPrefixes[group], dataclasses.field(metadata={"help": ""}))
        for name, group in groups.items()
    ]
    options = dataclasses.make_dataclass("Command", fields, bases=(main,), kw_only=True)
    values = dict(vars(_run_parser(options, command, program, words)))
    for group in [values.pop(name) for name in groups]:
        values |= vars(group)
    return values


def parse_known_arguments(
    command: Callable, program: str, words: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Parse a command's options; return also the words that belong to none of them."""
    check_option_values(words, read_hints(command))
    options = make_options(command, list_parameters(command))
    values, rest = _run_parser(options, command, program, words, return_unknown_args=True)
    return vars(values), rest


def _run_parser(
    options: type, command: Callable, program: str, words: list[str], **settings: Any
) -> Any:
    """Parse words with tyro, whose box about a mistake becomes the sentence of an error."""
    text, box = (inspect.getdoc(command) or "").partition(PARAMETERS_SECTION)[0], io.StringIO()
    settings |= {"prog": program, "description": f"{text}\n\n{PLUGIN_HELP}"}
    try:
        with redirect_stderr(box):
            return tyro.cli(options, args=words, use_underscores=False, **settings)
    except SystemExit as end:
        if not end.code:  # --help
            raise
    lines = (line.strip("╭╮╰╯│─").rstrip() for line in box.getvalue().splitlines()[1:])
    # what is indented more is the help of a missing option
    problem = " ".join(" ".join(line for line in lines if line[:8].strip(" ─-")).split())
    problem = problem.partition(" For full helptext")[0].rstrip(".")
    unknown = problem.removeprefix("Unrecognized options: ")
    if unknown != problem and not unknown.startswith("-"):
        problem = f"No option stands before {unknown}"
        problem += ", as --data before a folder" if "data" in list_parameters(command) else ""
    if problem.startswith("Missing value"):
        problem += ", and one that begins with a dash is written with =, such as --cond=-1"
    raise Error(f"{problem}; {program} --help shows its options.")


def list_parameters(function: Callable, advanced: bool | None = None) -> list[str]:
    """Return the names of the parameters, without a modifier's plan.

    advanced: only those that are keyword-only (True), or that are not (False)
    """
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "plan" and advanced in (None, parameter.kind is parameter.KEYWORD_ONLY)
    ]


def read_hints(function: Callable) -> dict[str, Any]:
    """Return type hints, with metavars and help from the section Parameters of the docstring."""
    hints = get_type_hints(function, include_extras=True)
    section = (inspect.getdoc(function) or "").partition(PARAMETERS_SECTION)[2]
    for name, metavar, text in PARAMETER.findall(section):
        if name in hints:  # other sections look alike
            marks = [Metavar(metavar)] if metavar else []
            hints[name] = Annotated[(hints[name], *marks, Doc(" ".join(text.split())))]
    return {name: _name_entries(hint) for name, hint in hints.items()}


def _name_entries(hint: Any) -> Any:
    """Write the names of a hint's registry into its help, in the place of NAMES."""
    registry = find_registry(hint)
    if registry is None or not any("NAMES" in text for text in list_docs(hint)):
        return hint
    base, *marks = get_args(hint)
    names = registry.describe_names()
    texts = [Doc(m.documentation.replace("NAMES", names)) for m in marks if isinstance(m, Doc)]
    return Annotated[(base, *(m for m in marks if not isinstance(m, Doc)), *texts)]


def make_options(function: Callable, names: Iterable[str], switch: str = "") -> type:
    """Return a dataclass of the named parameters of a function; `switch` defaults to None."""
    hints, fields = read_hints(function), []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in names:
            continue
        default = None if name == switch else parameter.default
        hint = hints.get(name, str if default is None else type(default))
        base, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        base = list_types(hint)[0] if base is str else base  # one of the names of a registry
        base = str if base is Any else base  # the command line has only words for data
        metavar = next((mark.text for mark in marks if isinstance(mark, Metavar)), None)
        metavar = metavar or _make_metavar(base, find_registry(hint))
        display = tyro.conf.arg(
            metavar=metavar, help_behavior_hint=_describe_default(hint, default)
        )
        base = base | None if default is None else base
        marks += [TEXTS[kind] for kind in TEXTS if {*list_types(base)} == {kind, NoneType}]
        field = dataclasses.MISSING if default is parameter.empty else default
        hint = Annotated[(base, display, *marks)]
        fields.append((name, hint, dataclasses.field(default=field)))
    return dataclasses.make_dataclass(function.__name__, fields, kw_only=True)


def _make_metavar(hint: Any, registry: Iterable[str] | None) -> str | None:
    if registry:
        return _join_choices(registry)
    kinds = list_types(hint)
    names = [_join_choices(map(str, get_args(k))) for k in kinds if get_origin(k) is Literal]
    names += [METAVARS[k] for k in kinds if k in METAVARS]
    return "|".join(names) or None


def _join_choices(choices: Iterable[str]) -> str:
    words = list(choices)
    separator = "|" if any("," in word for word in words) else ","
    return f"{{{separator.join(words)}}}"


def _describe_default(hint: Any, default: Any) -> str:
    """Return the default, unless it leaves the option out or the help names it in words."""
    if default is inspect.Parameter.empty:
        return "(required)"
    if default is True:
        return "(on by default)"
    is_off = default is None or default is False or default == ()
    if is_off or any("default" in text for text in list_docs(hint)):
        return ""
    return f"(default: {default:g})" if isinstance(default, float) else f"(default: {default})"


def check_option_names(owner: str, words: list[str], names: list[str], command: str) -> None:
    """Check the names of all options among the words; command: whose --help lists them.

    Raises: Error for the first that is not in `names`, with the most similar one
    """
    for name in list_option_names(words):
        if name.removeprefix("no_") not in [*names, "help"]:
            raise Error(format_unknown_parameter(owner, name, names, command))


def list_option_names(words: list[str]) -> list[str]:
    """Return the names of the options among the words, as those of parameters."""
    options = (word[2:].partition("=")[0] for word in words if word.startswith("--"))
    return [option.replace("-", "_") for option in options]


def check_option_values(words: list[str], hints: Mapping[str, Any]) -> None:
    """Check that no option is empty, and the values of those that take numbers or names.

    hints: type hints by parameter name; options of other types are left to the parser

    Raises: Error for the first empty value, or value of another type
    """
    for word, next_word in zip(words, [*words, None][1:], strict=True):
        flag, equals, value = word.partition("=")
        is_flag = re.match("--|-[a-z]$", flag)
        hint = hints.get(flag.lstrip("-").replace("-", "_")) if is_flag else None
        kinds, value = list_types(hint), value if equals else next_word
        if not equals and (value or "").startswith("--"):  # the next option
            value = None
        is_simple = all(k in (int, float, type(None)) or get_origin(k) is Literal for k in kinds)
        if is_simple and not any(_is_readable(kind, value or "") for kind in kinds):
            allowed = " or ".join(describe_types(hint)).removesuffix(" or None")
            text = next((f" ({SUMMARY_END.split(text)[0]})" for text in list_docs(hint)), "")
            problem = f"is {value}" if value else "has no value"
            raise Error(f"{flag} {problem}; it must be {allowed}{text}.{describe_plugins(hint)}")
        if flag[:2] == "--" and value == "":
            raise Error(f"{flag} is empty; give it a value, or leave it out.")


def _is_readable(kind: Any, word: str) -> bool:
    if kind in (int, float):
        try:
            return is_in_range(kind(word)) or kind is float
        except ValueError:
            return False
    return word in (["None"] if kind is type(None) else map(str, get_args(kind)))


def list_docs(hint: Any) -> list[str]:
    """Return the help texts of a type hint."""
    texts = [m.documentation for m in getattr(hint, "__metadata__", ()) if isinstance(m, Doc)]
    return texts + [text for member in get_args(hint) for text in list_docs(member)]
