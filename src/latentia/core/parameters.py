"""Checks of a function's arguments against the types and ranges of its signature."""

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from annotated_types import Ge, Gt, Le, Lt

from latentia.core.errors import Error
from latentia.core.registry import ADVICE, Registry
from latentia.core.text import abbreviate_list, suggest_name

BOUNDS = {
    Ge: (operator.ge, "at least {}"),
    Gt: (operator.gt, "more than {}"),
    Le: (operator.le, "at most {}"),
    Lt: (operator.lt, "less than {}"),
}
MAX_INTEGER = 2**63
TYPE_NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "True or False"}
TYPE_NAMES |= {NoneType: "None", list: "a list", dict: "an object of names and values"}
PARAMETERS_SECTION = "\n\nParameters\n----------\n"  # of a numpydoc docstring


def validate_parameters(owner: str, function: Callable, arguments: Mapping[str, Any]) -> None:
    """Check names, types and ranges of arguments against a function's signature.

    Raises: Error if an argument is unknown, has another type, or lies outside its range
    """
    hints = get_type_hints(function, include_extras=True)
    names = [name for name in inspect.signature(function).parameters if name != "plan"]
    for name, value in arguments.items():
        if name not in names:
            raise Error(format_unknown_parameter(owner, name, names))
        hint, option = hints.get(name, Any), name.replace("_", "-")
        if requirement := describe_requirement(value, hint):
            advice = describe_plugins(hint)
            raise Error(f"--{option} is {value!r}; it must be {requirement}.{advice}")


def describe_requirement(value: Any, hint: Any) -> str:
    """Return what a value must be: its type, else its range; "" if it is so.

    Members of lists and dicts are not looked at.
    """
    if not any(_matches_member(member, value) for member in list_types(hint)):
        return " or ".join(describe_types(hint))
    if not _is_number(value):
        return ""
    bounds = _collect_bounds(hint)
    if is_in_range(value) and all(compare(value, limit) for compare, _, limit in bounds):
        return ""
    limits = [text.format(limit) for _, text, limit in bounds]
    if not is_in_range(value):
        limits.insert(0, "a finite number" if isinstance(value, float) else "less than 2**63")
    return " and ".join(limits)


def is_record(kind: Any) -> bool:
    """Whether a type has named fields: TypedDict, NamedTuple and dataclass."""
    return is_typeddict(kind) or is_dataclass(kind) or hasattr(kind, "_fields")


def format_unknown_parameter(owner: str, name: str, names: Iterable[str], command: str = "") -> str:
    """Return the message that `owner` has no parameter `name`, and where its parameters are.

    command: whose --help lists them; without one the message names the first of them
    """
    options, option = [each.replace("_", "-") for each in names], name.replace("_", "-")
    suggestion = suggest_name(option, options, " did you mean --{}?")
    listing = f"{command} --help lists all parameters"
    if not command:
        listing = f"{'Its' if suggestion else 'its'} parameters: {abbreviate_list(options)}"
    return f"{owner} has no parameter --{option};{suggestion} {listing}."


def find_registry(hint: Any) -> Registry | None:
    """Return the registry among the annotations of a hint: its names are, or are in, the values."""
    marks = getattr(hint, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Registry)), None)


def describe_plugins(hint: Any) -> str:
    """Return a sentence on entries of a user's own, for a parameter that takes registered names."""
    return f" {ADVICE}." if find_registry(hint) else ""


def list_types(hint: Any) -> list[Any]:
    """Return the types of a hint without annotations: int and None of Annotated[int | None, x].

    Text with a registry is one of its names.
    """
    if get_origin(hint) is Annotated:
        base, registry = get_args(hint)[0], find_registry(hint)
        if base is str and registry:
            return [Literal[tuple(registry)]]  # pyright: ignore[reportInvalidTypeForm]
        return list_types(base)
    if get_origin(hint) in (Union, UnionType):
        return [kind for member in get_args(hint) for kind in list_types(member)]
    return [hint]


def describe_types(hint: Any) -> list[str]:
    """Return one phrase for each type of a hint."""
    return [
        f"{'one of ' * (len(get_args(kind)) > 1)}{', '.join(map(str, get_args(kind)))}"
        if get_origin(kind) is Literal
        else TYPE_NAMES.get(_find_json_type(kind), str(kind))
        for kind in list_types(hint)
    ]


def is_in_range(value: float) -> bool:
    """Whether a float is finite, or tensors can hold a whole number."""
    return abs(value) < (math.inf if isinstance(value, float) else MAX_INTEGER)


def require_at_least(flag: str, value: Any, least: int) -> None:
    """Raises: Error if the value is no whole number, or less than `least`; None is allowed."""
    if value is None:
        return
    require_whole_number(flag, value)
    if value < least:
        raise Error(f"{flag} is {value}; it must be at least {least}.")


def require_whole_number(flag: str, value: Any) -> None:
    """Raises: Error if the value is no whole number."""
    if not hasattr(value, "__index__") or not is_in_range(value):
        raise Error(f"{flag} is {value!r}; it must be a whole number, less than 2**63.")


def _is_number(value: Any, kinds: Any = int | float) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _find_json_type(kind: Any) -> Any:
    """Return the type of the value that JSON holds for a kind."""
    origin = get_origin(kind)
    return dict if is_record(kind) else {tuple: list}.get(origin, origin or kind)


def _is_class(kind: Any) -> bool:
    return isinstance(kind, type) and not is_typeddict(kind)


def _matches_member(member: Any, value: Any) -> bool:
    if get_origin(member) is Literal:
        return value in get_args(member)
    if member in (int, float):
        return _is_number(value, int if member is int else int | float)
    if member is Any or (_is_class(member) and isinstance(value, member)):
        return True
    kind: Any = _find_json_type(member)
    return not _is_class(kind) or isinstance(value, (list, tuple) if kind is list else kind)


def _collect_bounds(hint: Any) -> list[tuple[Callable[[Any, Any], bool], str, Any]]:
    """Return comparison, text and limit of each bound of a hint."""
    if get_origin(hint) is Annotated:
        marks = [mark for mark in hint.__metadata__ if type(mark) in BOUNDS]
        return [(*BOUNDS[type(m)], getattr(m, type(m).__name__.lower())) for m in marks]
    return [bound for member in get_args(hint) for bound in _collect_bounds(member)]
