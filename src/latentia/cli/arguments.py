"""Words of the command line: their checks, and the options that tyro makes of a signature."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, get_args, get_origin, get_type_hints

import tyro
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.training.parameter_types import Metavar, describe_types, list_types, unknown_knob

METAVARS = {int: "N", float: "FLOAT", str: "TEXT", Path: "FILE"}  # where an option names no other


def parse_arguments(command: Callable, words: list[str]) -> dict[str, Any]:
    """Arguments of a command by name. Its keyword-only parameters are its advanced options."""
    program = f"latentia {command.__name__}"
    parameters = inspect.signature(command).parameters
    refuse_unknown(program, words, [name.rstrip("_") for name in parameters])
    refuse_unreadable(words, get_type_hints(command, include_extras=True))
    advanced = {
        name for name, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY
    }
    main = make_options("options", command, parameters.keys() - advanced)
    groups = {"advanced": make_options("advanced", command, advanced)} if advanced else {}
    return parse_groups(main, groups, program, words, command)


def parse_groups(
    main: type, groups: Mapping[str, type], program: str, words: list[str], described: Callable
) -> dict[str, Any]:
    """Values of the options by name; each group has a box of its own in --help."""
    fields = [(name, tyro.conf.OmitArgPrefixes[group]) for name, group in groups.items()]
    command = dataclasses.make_dataclass("Command", fields, bases=(main,), kw_only=True)
    values = dict(vars(tyro.cli(command, args=words, **_describe_program(program, described))))
    for group in [values.pop(name) for name in groups]:
        values |= vars(group)
    return values


def parse_known(
    main: type, program: str, words: list[str], described: Callable
) -> tuple[dict[str, Any], list[str]]:
    """Values of the options by name, and the words that are none of them."""
    how = _describe_program(program, described)
    values, rest = tyro.cli(main, args=words, return_unknown_args=True, **how)
    return vars(values), rest


def _describe_program(program: str, described: Callable) -> dict[str, Any]:
    text = inspect.getdoc(described)
    return {"prog": program, "description": text, "use_underscores": False}


def make_options(title: str, function: Callable, names: Iterable[str], switch: str = "") -> type:
    """A dataclass of some parameters of a function; `switch` is off by default."""
    hints = get_type_hints(function, include_extras=True)
    fields = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in names:
            continue
        default = parameter.default
        hint = hints.get(name, str if default is None else type(default))
        if get_args(hint) and get_args(hint)[0] is Any:  # data: on the command line, a word
            word = str if default is not None else Optional[str]  # noqa: UP045 (hints are values)
            hint = Annotated[(word, *hint.__metadata__)]
        if name == switch:
            base, *about = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            hint, default = Annotated[(Optional[base], *about)], None  # noqa: UP045 (as above)
        field = dataclasses.field(
            default=dataclasses.MISSING if default is parameter.empty else default
        )
        fields.append((name, _with_display(hint, default), field))
    return dataclasses.make_dataclass(title, fields, kw_only=True)


def _with_display(hint: Any, default: Any) -> Any:
    """The type hint with the metavar and the default that --help shows."""
    base, *about = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    given = next((each.text for each in about if isinstance(each, Metavar)), None)
    display = tyro.conf.arg(
        metavar=given or _make_metavar(base), help_behavior_hint=_describe_default(hint, default)
    )
    return Annotated[(base, display, *about)]


def _make_metavar(hint: Any) -> str | None:
    kinds = list_types(hint)
    names = [f"{{{','.join(map(str, get_args(k)))}}}" for k in kinds if get_origin(k) is Literal]
    names += [METAVARS[k] for k in kinds if k in METAVARS]
    return "|".join(names) or None


def _describe_default(hint: Any, default: Any) -> str:
    """The default, unless it is to leave the option out or the help names it in words."""
    hidden = default is None or default == () or isinstance(default, bool)
    if hidden or any("default" in text for text in _list_docs(hint)):
        return ""
    return f"(default: {default:g})" if isinstance(default, float) else f"(default: {default})"


def refuse_unknown(owner: str, words: list[str], known: list[str]) -> None:
    """Check the names of all options among the words.

    Raises: Error for the first that `known` lacks, with the name that is nearest to it.
    """
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name.removeprefix("no_") not in [*known, "help"]:
            raise Error(unknown_knob(owner, name, known))


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
            about = next((f" ({text})" for text in _list_docs(hint)), "")
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


def _list_docs(hint: Any) -> list[str]:
    found = [m.documentation for m in getattr(hint, "__metadata__", ()) if isinstance(m, Doc)]
    return found + [each for part in get_args(hint) for each in _list_docs(part)]
