"""Check of the content of JSON files against type hints, field by field."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

from latentia.core.errors import Error
from latentia.core.parameters import describe_requirement, is_record, list_types

get_hints = cache(lambda kind: get_type_hints(kind, include_extras=True))
MAX_LENGTH = 60  # of the text of a wrong value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


STRICT_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_json(text: str) -> Any:
    """Parse JSON as it is defined: without NaN and Infinity. Raises: Error if it is none."""
    try:
        return STRICT_DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Error(f"it is no JSON ({error}).") from None


def check_json(value: Any, hint: Any, field: str = "") -> None:
    """Check a value of JSON, and those in it, against a type hint.

    hint: of numbers, text, dict, list and tuple; TypedDict, NamedTuple and dataclass are objects
    with these fields, and only a NamedTuple has no more

    Raises: Error that names the first field of another type, or that is missing
    """
    if get_origin(hint) is NotRequired:
        (hint,) = get_args(hint)
    if requirement := describe_requirement(value, hint):
        text = repr(value)
        excerpt = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."
        raise Error(f"{field or 'its content'} is {excerpt}, and must be {requirement}.")
    for kind in list_types(hint) if isinstance(value, dict | list) else ():
        for name, member, member_hint in _list_members(value, kind, field):
            separator = "" if not field or isinstance(name, int) else "."
            name = f"[{name}]" if isinstance(name, int) else name
            check_json(member, member_hint, f"{field}{separator}{name}")


def _list_members(value: Any, kind: Any, field: str) -> Iterator[tuple[Any, Any, Any]]:
    """Yield key, value and type hint of each member, if the value is of this kind."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(value, dict) and is_record(kind):
        if missing := [name for name in _list_required(kind) if name not in value]:
            raise Error(f"{field or 'it'} lacks {missing[0]}.")
        hints = get_hints(kind)
        if hasattr(kind, "_fields") and (unknown := [name for name in value if name not in hints]):
            raise Error(f"{field or 'it'} has the unknown field {unknown[0]}.")
        yield from ((name, value[name], hints[name]) for name in hints if name in value)
    elif isinstance(value, dict) and origin is dict:
        yield from ((name, member, arguments[1]) for name, member in value.items())
    elif isinstance(value, list) and origin in (list, tuple):
        is_open = origin is list or arguments[1:] == (...,)
        if not is_open and len(value) != len(arguments):
            raise Error(f"{field} has {len(value)} values, and must have {len(arguments)}.")
        hints = arguments[:1] * len(value) if is_open else arguments
        yield from ((k, *pair) for k, pair in enumerate(zip(value, hints, strict=True)))


def _list_required(kind: Any) -> list[str]:
    if hasattr(kind, "_fields"):
        return [name for name in kind._fields if name not in kind._field_defaults]
    return sorted(getattr(kind, "__required_keys__", ()))
