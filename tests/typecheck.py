"""Type checks of the test run: beartype, where an int passes for a float, as PEP 484 says.

jaxtyping binds the arguments of every call, and checks them by functions of its own, which takes a
third of the suite's time. `install` makes its import hook decorate a function with beartype itself.
Shapes are remembered by jaxtyping during a call, as before, where an annotation has one.
"""

import functools
import inspect
from types import FunctionType
from typing import get_args

import jaxtyping
from jaxtyping import _decorator
from jaxtyping._storage import pop_shape_memo, push_shape_memo

decorate_by_jaxtyping = jaxtyping.jaxtyped


@functools.cache
def make_decorator():
    from beartype import BeartypeConf, beartype

    return beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))


def typecheck(function):
    return make_decorator()(function)


def install():
    jaxtyping.jaxtyped = _decorator.jaxtyped = decorate


def decorate(function=None, *, typechecker=typecheck):
    if function is None:
        return functools.partial(decorate, typechecker=typechecker)
    is_plain = isinstance(function, FunctionType) and not is_lazy(function)
    if not is_plain or hasattr(function, "__no_type_check__"):
        return decorate_by_jaxtyping(function, typechecker=typechecker)
    hints = {
        name: resolve_names(hint, function.__globals__)
        for name, hint in function.__annotations__.items()
    }
    if not hints:
        return function
    checked = check_types(function, hints, typechecker)
    call = call_with_shapes if any(map(has_shape, hints.values())) else call_plainly
    return functools.wraps(function)(call(function, checked))


CHECKED = {}  # by the code of a function: its hints, and what beartype has made of it


def check_types(function, hints, typechecker):
    """What beartype makes of a function; once of one that each call of another defines anew."""
    key = function.__module__, function.__code__
    known, checked = CHECKED.get(key, (None, None))
    if known != hints:
        checked = typechecker(copy_function(function, hints))
        CHECKED[key] = hints, checked
        return checked
    if "__beartype_func" not in (checked.__kwdefaults__ or {}):  # it found nothing to check
        return function
    again = FunctionType(checked.__code__, checked.__globals__, checked.__name__)
    again.__kwdefaults__ = {**checked.__kwdefaults__, "__beartype_func": function}
    return again


def is_lazy(function):
    """Whether a call of it runs nothing yet."""
    kinds = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction
    return any(kind(function) for kind in kinds)


def resolve_names(hint, names):
    """Any, where a name in it means nothing yet."""
    is_resolved = inspect.isclass(hint) and not get_args(hint)
    return hint if is_resolved else _decorator._destring_annotation(hint, names)


def copy_function(function, hints):
    """beartype writes what it has made of the hints into the function that it is given."""
    parts = function.__globals__, function.__name__, function.__defaults__, function.__closure__
    copy = FunctionType(function.__code__, *parts)
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, hints
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return copy


def has_shape(hint):
    if isinstance(hint, list | tuple):
        return any(map(has_shape, hint))
    is_shape = inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray)
    return is_shape or any(map(has_shape, get_args(hint)))


def call_plainly(function, checked):
    def call(*args, **kwargs):
        __tracebackhide__ = True
        return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

    return call


def call_with_shapes(function, checked):
    def call(*args, **kwargs):
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        push_shape_memo({})
        try:
            return checked(*args, **kwargs)
        finally:
            pop_shape_memo()

    return call
